//! Temporary directories and secret files of this process. On Linux a secret is in an anonymous memory file, which ends
//! with the process even after SIGKILL. The next process removes the directory that a killed process left behind, and
//! leaves the directory of a live process alone; `tests/attacks/key_outlives.rs` kills one.

mod secret_file;
mod sweep;

pub use secret_file::SecretFile;
pub use sweep::sweep;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Prefix of the names of our directories.
const PREFIX: &str = "deployer-";
/// Name of the lock file that the owner of a directory keeps locked.
const LOCK: &str = "lock";

/// A directory that only this user can enter. Dropping this value removes the directory.
#[derive(Debug)]
pub struct Directory {
    directory: TempDir,
    claim: Claim,
}

/// A lock that keeps other processes from sweeping a directory while this value lives.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl Directory {
    /// Creates a directory in `/tmp`, where paths are short enough for a socket, or else in the system's temporary
    /// directory.
    pub fn new() -> io::Result<Self> {
        let mut trouble = io::Error::from(io::ErrorKind::NotFound);
        for base in places() {
            match Self::new_in(&base) {
                Ok(directory) => return Ok(directory),
                Err(error) => trouble = error,
            }
        }
        Err(trouble)
    }

    fn new_in(base: &Path) -> io::Result<Self> {
        let directory =
            tempfile::Builder::new().prefix(PREFIX).permissions(fs::Permissions::from_mode(0o700)).tempdir_in(base)?;
        // A lock file that is not locked yet would look like one left by a dead process. So it is locked before the
        // rename.
        let (fresh, own) = (directory.path().join("lock.new"), directory.path().join(LOCK));
        let lock = File::options().write(true).create_new(true).mode(0o600).open(&fresh)?;
        lock.try_lock()?;
        fs::rename(fresh, own)?;
        Ok(Self { directory, claim: Claim { _lock: lock } })
    }

    /// Returns the path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the directory, for an owner that removes it, and the claim, which must live as long as the directory.
    #[must_use]
    pub fn into_parts(self) -> (TempDir, Claim) {
        (self.directory, self.claim)
    }
}

/// Returns the parent directories to try, in order of preference.
fn places() -> Vec<PathBuf> {
    let (short, own) = (PathBuf::from("/tmp"), std::env::temp_dir());
    if short == own { vec![short] } else { vec![short, own] }
}
