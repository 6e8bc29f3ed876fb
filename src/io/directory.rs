//! Writes files whose names come from elsewhere into a directory. Works relative to an open handle of that directory,
//! so no name and no link leads out of it. Does not replace existing files.

use crate::model::checked;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// An open directory.
#[derive(Debug)]
pub struct Directory(OwnedFd);

/// A new file that only its owner can read, under a private name until it is kept. Dropping a draft that was not kept
/// removes the file.
#[derive(Debug)]
pub struct Draft<'a> {
    /// The file, open for writing.
    pub file: File,
    directory: &'a Directory,
    name: String,
    kept: bool,
}

impl Directory {
    /// Opens a directory. Creates the directory if it is missing.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path.as_ref(), flags, Mode::empty())?))
    }

    /// Returns true if something has this name. A dangling link counts.
    pub fn has(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.0, plain(name)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a file under a random, unpredictable name.
    pub fn draft(&self) -> io::Result<Draft<'_>> {
        let name = format!(".deployer-{}.partial", uuid::Uuid::new_v4().simple());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, &name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Draft { file: file.into(), directory: self, name, kept: false })
    }
}

impl Draft<'_> {
    /// Gives the file its final name after syncing its content to disk.
    ///
    /// # Errors
    /// `AlreadyExists` if something has that name.
    pub fn keep(mut self, name: &str) -> io::Result<()> {
        let (directory, name) = (&self.directory.0, plain(name)?);
        self.file.sync_all()?;
        match rustix::fs::renameat_with(directory, &self.name, directory, name, RenameFlags::NOREPLACE) {
            // Not every file system can rename without replacing. A hard link never replaces anything either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(directory, &self.name, directory, name, AtFlags::empty())?;
            }
            renamed => {
                renamed?;
                self.kept = true;
            }
        }
        rustix::fs::fsync(directory)?;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let _ = rustix::fs::unlinkat(&self.directory.0, &self.name, AtFlags::empty());
        }
    }
}

/// Returns the name if it is a single plain name.
fn plain(name: &str) -> io::Result<&str> {
    if checked::is_plain(name) { Ok(name) } else { Err(io::ErrorKind::InvalidFilename.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_kept_file_has_its_name_and_is_its_owners() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path().join("new/deep")).unwrap();
        let mut draft = directory.draft().unwrap();
        draft.file.write_all(b"honest").unwrap();
        assert!(!directory.has("a.tar.gz").unwrap());
        draft.keep("a.tar.gz").unwrap();
        let path = place.path().join("new/deep/a.tar.gz");
        assert_eq!(fs::read(&path).unwrap(), b"honest");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(directory.has("a.tar.gz").unwrap());
        assert_eq!(names(&place.path().join("new/deep")), ["a.tar.gz"]);
    }

    #[test]
    fn nothing_is_replaced_and_no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let victim = place.path().join("victim");
        let saved = place.path().join("saved");
        let directory = Directory::open(&saved).unwrap();
        fs::write(saved.join("mine.tar.gz"), "mine").unwrap();
        symlink(&victim, saved.join("link.tar.gz")).unwrap();
        for name in ["mine.tar.gz", "link.tar.gz"] {
            assert!(directory.has(name).unwrap(), "{name}");
            let failed = directory.draft().unwrap().keep(name);
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        assert!(!victim.exists());
        assert_eq!(fs::read(saved.join("mine.tar.gz")).unwrap(), b"mine");
        for name in ["../victim", "/victim", "a/b", "", ".", "..", "-x", "a\0b"] {
            assert!(directory.draft().unwrap().keep(name).is_err(), "{name:?}");
        }
        assert_eq!(names(&saved), ["link.tar.gz", "mine.tar.gz"]);
        assert_eq!(names(place.path()), ["saved"]);
    }

    #[test]
    fn a_directory_that_is_moved_away_takes_its_file_along() {
        let place = tempfile::tempdir().unwrap();
        let (saved, moved, victim) =
            (place.path().join("saved"), place.path().join("moved"), place.path().join("victim"));
        fs::create_dir(&victim).unwrap();
        let directory = Directory::open(&saved).unwrap();
        fs::rename(&saved, &moved).unwrap();
        symlink(&victim, &saved).unwrap();
        directory.draft().unwrap().keep("a.tar.gz").unwrap();
        assert_eq!((names(&moved), names(&victim)), (vec!["a.tar.gz".to_owned()], Vec::new()));
    }
}
