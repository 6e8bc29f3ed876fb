//! Directories and secret files of this process alone. A secret is in memory, in a file without a name, which ends with
//! the process, whatever ends it. A directory that a killed process left is removed by the next one; the directory of a
//! process that lives is left alone: `tests/attacks/key_outlives.rs` kills one.

mod secret_file;
mod sweep;

pub use secret_file::SecretFile;
pub use sweep::sweep;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How the names of our directories begin.
const PREFIX: &str = "deployer-";
/// The file that the owner of a directory holds a lock on.
const LOCK: &str = "lock";

/// A directory that only this user can enter; it is removed with this value.
#[derive(Debug)]
pub struct Directory {
    directory: TempDir,
    claim: Claim,
}

/// Keeps other processes from sweeping a directory for as long as it lives.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl Directory {
    /// Makes one in `/tmp`, where paths are short enough for a socket, or else where the system keeps temporary files.
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
        // A lock that is not held yet would look like one that a dead process left.
        let (fresh, own) = (directory.path().join("lock.new"), directory.path().join(LOCK));
        let lock = File::options().write(true).create_new(true).mode(0o600).open(&fresh)?;
        lock.try_lock()?;
        fs::rename(fresh, own)?;
        Ok(Self { directory, claim: Claim { _lock: lock } })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory itself, for an owner that removes it, and the claim, which has to live as long.
    #[must_use]
    pub fn into_parts(self) -> (TempDir, Claim) {
        (self.directory, self.claim)
    }
}

/// Where directories are made, the first choice first.
fn places() -> Vec<PathBuf> {
    let (short, own) = (PathBuf::from("/tmp"), std::env::temp_dir());
    if short == own { vec![short] } else { vec![short, own] }
}
