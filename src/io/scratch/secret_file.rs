//! A secret for programs that read it from a file. On systems with anonymous memory files the secret is not written to
//! a disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file that other programs of this user can open by its path while this value lives.
///
/// On Linux the path is a link to memory of this process: nothing of the secret remains after the process ends, even by
/// SIGKILL. On other systems it is a file that only its owner can read; dropping this value removes it.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    file: File,
}

impl SecretFile {
    /// Writes a secret to a path that does not exist yet.
    pub fn place(path: &Path, secret: &[u8]) -> io::Result<Self> {
        let file = if let Some((file, link)) = in_memory(secret) {
            std::os::unix::fs::symlink(link, path)?;
            file
        } else {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(secret)?;
            file
        };
        Ok(Self { path: path.to_owned(), file })
    }

    /// Returns the path for other programs.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        // Another secret file may have been placed at this path since.
        if leads_to(&self.path, &self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns true if a path leads to an open file.
fn leads_to(path: &Path, file: &File) -> bool {
    let place = |about: io::Result<fs::Metadata>| about.ok().map(|about| (about.dev(), about.ino()));
    let own = place(file.metadata());
    own.is_some() && own == place(fs::metadata(path))
}

/// Writes the secret to memory and returns it with the path to it; `None` if the system has no such path.
#[cfg(target_os = "linux")]
fn in_memory(secret: &[u8]) -> Option<(File, PathBuf)> {
    use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};
    use std::os::fd::AsRawFd as _;

    // Kernels before 6.3 do not know NOEXEC_SEAL, and later ones may require it.
    let file = memfd_create("deployer", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL);
    let mut file = File::from(file.or_else(|_| memfd_create("deployer", MemfdFlags::CLOEXEC)).ok()?);
    // OpenSSH refuses a key that other users can read.
    fchmod(&file, Mode::RUSR | Mode::WUSR).ok()?;
    file.write_all(secret).ok()?;
    let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    // A `/proc` of another PID namespace would lead to another file.
    leads_to(&path, &file).then_some((file, path))
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_: &[u8]) -> Option<(File, PathBuf)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_file_can_be_read_and_replaced_by_others_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file = SecretFile::place(&path, b"secret\n").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"secret\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(SecretFile::place(&path, b"other").is_err(), "something is there");
        // Written in place, as OpenTofu writes its plan.
        fs::write(&path, b"a longer text").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a longer text");
        let link = fs::read_link(&path).unwrap();
        assert!(link.starts_with(format!("/proc/{}", std::process::id())), "{link:?} is no disk");
        fs::remove_file(&path).unwrap();
        let next = SecretFile::place(&path, b"next").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"next", "the one in its place stays");
        drop(next);
        assert!(fs::symlink_metadata(&path).is_err());
    }
}
