//! Opens and creates files below a directory of this machine without following a link in any component. The directory
//! itself is a path that a user named: it may be a link.

use super::scope;
use crate::model::bounded;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, mkdirat, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Flags for reading a file without blocking on a pipe or a device.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The kind of file at a path.
pub enum Thing {
    /// A regular file, open for reading.
    File(File),
    /// A link, with its target.
    Link(Vec<u8>),
    /// Anything else, or nothing.
    Other,
}

/// Opens a regular file for reading. Refuses pipes and devices without blocking.
pub fn open(root: &Utf8Path, path: &Utf8Path) -> io::Result<File> {
    let (above, name) = split(path)?;
    let directory = way(root, above)?;
    only_regular(File::from(openat(&directory, name, FILE | OFlags::NOFOLLOW, Mode::empty())?))
}

/// Inspects a path. If a directory in the path is a link, the result is `Other`.
pub fn look(root: &Utf8Path, path: &Utf8Path) -> io::Result<Thing> {
    let (above, name) = split(path)?;
    let directory = match way(root, above) {
        Ok(directory) => directory,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Thing::Other);
        }
        Err(error) => return Err(error),
    };
    match openat(&directory, name, FILE | OFlags::NOFOLLOW, Mode::empty()).map(File::from) {
        Ok(file) if file.metadata()?.is_file() => Ok(Thing::File(file)),
        // A socket or a device without a driver cannot be opened.
        Ok(_) | Err(Errno::NOENT | Errno::NXIO | Errno::NODEV) => Ok(Thing::Other),
        Err(Errno::LOOP) => Ok(Thing::Link(readlinkat(&directory, name, Vec::new())?.into_bytes())),
        Err(error) => Err(error.into()),
    }
}

/// Opens a regular file that a user named. Follows links. Refuses pipes and devices without blocking.
pub fn regular(path: &Utf8Path) -> io::Result<File> {
    only_regular(File::from(openat(CWD, path.as_std_path(), FILE, Mode::empty())?))
}

/// Reads a regular file of at most `limit` bytes that a user or a manifest named. Follows links. Refuses files that show
/// state of the kernel: some of them block.
///
/// # Errors
/// Also `InvalidInput` for anything but a regular file on a disk, and `FileTooLarge`.
pub fn bytes(path: &Utf8Path, limit: u64) -> io::Result<Vec<u8>> {
    let real = path.canonicalize_utf8()?;
    if scope::is_kernels(&real) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file on a disk"));
    }
    bounded::whole(regular(&real)?, limit)
}

/// Reads UTF-8 text, as [`bytes`] does.
///
/// # Errors
/// Also `InvalidData` for other encodings.
pub fn text(path: &Utf8Path, limit: u64) -> io::Result<String> {
    String::from_utf8(bytes(path, limit)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn only_regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// A written file under a private name until it is kept. Dropping a draft that was not kept removes the file.
#[derive(Debug)]
pub struct Draft {
    root: Utf8PathBuf,
    path: Utf8PathBuf,
    name: String,
    kept: bool,
}

/// Writes a file with exactly these permission bits next to its final path. Creates the directories above it.
///
/// # Errors
/// Also `IsADirectory` if a directory has the final name.
pub fn draft(root: &Utf8Path, path: &Utf8Path, mode: u32, content: &mut dyn Read) -> io::Result<Draft> {
    let (above, last) = split(path)?;
    std::fs::create_dir_all(root)?;
    let mut directory = openat(CWD, root.as_std_path(), DIRECTORY, Mode::empty())?;
    for part in above {
        match mkdirat(&directory, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        directory = enter(&directory, part)?;
    }
    let there = statat(&directory, last, AtFlags::SYMLINK_NOFOLLOW);
    if there.is_ok_and(|there| FileType::from_raw_mode(there.st_mode) == FileType::Directory) {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let name = format!(".deployer-{}.partial", uuid::Uuid::new_v4().simple());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&directory, &name, flags, Mode::from_raw_mode(0o600))?);
    let draft = Draft { root: root.to_owned(), path: path.to_owned(), name, kept: false };
    fchmod(&file, Mode::from_raw_mode(mode))?;
    io::copy(content, &mut file)?;
    Ok(draft)
}

impl Draft {
    /// Gives the file its final name. An existing file or link of that name is replaced; a link is not written through.
    pub fn keep(mut self) -> io::Result<()> {
        let directory = self.directory()?;
        let (_, last) = split(&self.path)?;
        renameat(&directory, &self.name, &directory, last)?;
        self.kept = true;
        Ok(())
    }

    fn directory(&self) -> io::Result<OwnedFd> {
        way(&self.root, split(&self.path)?.0)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept
            && let Ok(directory) = self.directory()
        {
            let _ = unlinkat(&directory, &self.name, AtFlags::empty());
        }
    }
}

/// Opens the directory at the end of `above`, one component at a time.
fn way(root: &Utf8Path, above: Vec<&str>) -> io::Result<OwnedFd> {
    let root = openat(CWD, root.as_std_path(), DIRECTORY, Mode::empty())?;
    above.into_iter().try_fold(root, |directory, part| enter(&directory, part))
}

fn enter(directory: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    openat(directory, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map_err(|error| match error {
        // Opening a link with O_DIRECTORY and O_NOFOLLOW fails with ENOTDIR on Linux and with ELOOP elsewhere.
        Errno::NOTDIR | Errno::LOOP => {
            io::Error::new(io::ErrorKind::NotADirectory, format!("{name} is a link or not a directory"))
        }
        error => error.into(),
    })
}

/// Splits a path into its directories and the file name.
fn split(path: &Utf8Path) -> io::Result<(Vec<&str>, &str)> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Utf8Component::Normal(name) => parts.push(name),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is not a path below"))),
        }
    }
    let name = parts.pop().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path is empty"))?;
    Ok((parts, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn directory() -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        (directory, path)
    }

    #[test]
    fn no_component_is_followed_and_only_regular_files_are_opened() {
        let (_guard, root) = directory();
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::fs::write(root.join("real/deep/file"), "text").unwrap();
        symlink("real", root.join("directory")).unwrap();
        symlink("real/deep/file", root.join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let fifo = std::ffi::CString::new(root.join("fifo").as_str()).unwrap();
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let mut text = String::new();
        open(&root, "real/deep/file".into()).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        for wrong in ["directory/deep/file", "link", "fifo", "socket", "real", "../x", "/etc/passwd", ""] {
            assert!(open(&root, wrong.into()).is_err(), "{wrong}");
        }
        for other in ["directory/deep/file", "fifo", "socket", "real", "nothing", "real/nothing/file", "link/file"] {
            assert!(matches!(look(&root, other.into()).unwrap(), Thing::Other), "{other}");
        }
        assert!(matches!(look(&root, "real/deep/file".into()).unwrap(), Thing::File(_)));
        assert!(matches!(look(&root, "link".into()).unwrap(), Thing::Link(to) if to == b"real/deep/file"));
    }

    #[test]
    fn new_files_replace_links_and_are_not_written_through_them() {
        let (_guard, root) = directory();
        std::fs::write(root.join("victim"), "untouched").unwrap();
        std::fs::create_dir(root.join("elsewhere")).unwrap();
        symlink("victim", root.join("file")).unwrap();
        symlink("elsewhere", root.join("directory")).unwrap();
        let drafted = |path: &str, bits| draft(&root, path.into(), bits, &mut &b"new"[..]);
        drop(drafted("victim", 0o600).unwrap());
        drafted("file", 0o600).unwrap().keep().unwrap();
        drafted("a/b/c", 0o755).unwrap().keep().unwrap();
        let error = drafted("directory/file", 0o644).unwrap_err();
        assert!(error.to_string().contains("directory is a link"), "{error}");
        assert_eq!(drafted("a/b", 0o644).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        let mut names: Vec<_> = root.read_dir_utf8().unwrap().map(|one| one.unwrap().file_name().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["a", "directory", "elsewhere", "file", "victim"], "no draft is left");
        assert_eq!(std::fs::read_to_string(root.join("victim")).unwrap(), "untouched");
        assert_eq!(std::fs::read_dir(root.join("elsewhere")).unwrap().count(), 0);
        let mode = |path: &str| std::fs::symlink_metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("file"), mode("a/b/c")), (0o600, 0o755));
    }
}
