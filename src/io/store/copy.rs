//! A private, consistent copy of a store, even while other processes write to it. Does not open the database itself,
//! takes no lock on it and creates no file next to it.

use super::fault::unusable;
use super::place;
use crate::io::scratch;
use crate::manifest::below;
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Limit in bytes of a file that is copied: a quarter of the memory limit of the database, because the database holds
/// up to three copies of a value while reading it.
const LARGEST: u64 = 1 << 28;
/// File names of the copies. `SQLite` requires this name for the log.
const FILE: &str = "state.db";
const LOG: &str = "state.db-wal";
/// First bytes of every `SQLite` database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Number of attempts to copy a store that another process changes meanwhile, and the pause between attempts.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// A copy of a store. Dropping this value removes the copy.
pub(super) struct Copy {
    directory: scratch::Directory,
    /// The store's own file. Closing any handle of a file releases all locks that this process has on it, including
    /// those of a connection, so this handle must live as long as the connection.
    pub source: File,
    /// The store's log, if there is one.
    log: Option<File>,
    /// True if a rollback journal is next to the store. `SQLite` would apply the journal and remove a file that the
    /// journal names.
    pub has_journal: bool,
}

impl Copy {
    /// Copies a store with its write-ahead log; `None` if there is no store.
    pub async fn take(path: &Utf8Path) -> Result<Option<Self>, Failure> {
        for _ in 0..ATTEMPTS {
            let own = path.to_owned();
            let attempt = tokio::task::spawn_blocking(move || {
                let copy = Self::attempt(&own)?;
                let failed = |error: io::Error| unusable(&own, error).or_disk(&own);
                copy.map(|mut copy| Ok((copy.is_whole().map_err(failed)?, copy))).transpose()
            });
            match attempt.await.map_err(|error| unusable(path, error))?? {
                None => return Ok(None),
                Some((true, copy)) => return Ok(Some(copy)),
                Some((false, _)) => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(unusable(path, "another process keeps writing to it")
            .hint("Wait until that process ends, then run this again"))
    }

    /// Copies the file, then its log.
    fn attempt(path: &Utf8Path) -> Result<Option<Self>, Failure> {
        let failed = |error: io::Error| unusable(path, error).or_disk(path);
        if !place::exists(path).map_err(failed)? {
            return Ok(None);
        }
        // The log is next to the real file, not next to a link to it.
        let real = path.canonicalize_utf8().map_err(failed)?;
        let Some(mut source) = open(&real)?.filter(|file| file.metadata().is_ok_and(|about| about.len() > 0)) else {
            return Ok(None);
        };
        let mut magic = [0; MAGIC.len()];
        if source.read_exact_at(&mut magic, 0).is_err() || magic != *MAGIC {
            return Err(unusable(path, "it is not a database"));
        }
        let directory = scratch::Directory::new().map_err(|error| copying(path, "a temporary directory", error))?;
        copy(&mut source, &directory.path().join(FILE), path)?;
        let log_path = Utf8PathBuf::from(format!("{real}-wal"));
        let mut log = open(&log_path)?;
        if let Some(log) = &mut log {
            copy(log, &directory.path().join(LOG), &log_path)?;
        }
        let has_journal = fs::symlink_metadata(format!("{real}-journal")).is_ok_and(|about| about.len() > 0);
        Ok(Some(Self { directory, source, log, has_journal }))
    }

    /// Returns true if both copies are from one moment: the file has not changed since it was copied, and nothing but
    /// appends changed the log.
    fn is_whole(&mut self) -> io::Result<bool> {
        let place = self.directory.path();
        let log_is_same = self.log.as_mut().map_or(Ok(true), |log| is_same(log, &place.join(LOG), 0))?;
        Ok(log_is_same && is_same(&mut self.source, &place.join(FILE), 1)?)
    }

    /// Returns the path of the copied database, which is next to its log.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join(FILE)
    }
}

/// Opens a regular file that is not a link; `None` if the file does not exist.
fn open(path: &Utf8Path) -> Result<Option<File>, Failure> {
    let name = path.file_name().unwrap_or_default();
    let file = match below::open(path.parent().unwrap_or(path), name.into()) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, error).or_disk(path)),
    };
    if file.metadata().is_ok_and(|about| about.len() > LARGEST) {
        return Err(unusable(path, "it is larger than 256 MiB").hint("Name another store with --state sqlite:PATH"));
    }
    Ok(Some(file))
}

fn copy(source: &mut File, to: &Path, path: &Utf8Path) -> Result<(), Failure> {
    let copied = File::create_new(to).and_then(|mut copy| io::copy(&mut source.take(LARGEST), &mut copy));
    copied.map(drop).map_err(|error| copying(path, &to.display().to_string(), error))
}

fn copying(path: &Utf8Path, to: &str, error: io::Error) -> Failure {
    let copying = Failure::new(Reason::StoreUnusable, format!("it cannot be copied to {to}")).because(error);
    unusable(path, copying).or_disk(to)
}

/// Returns true if a file still begins with the copied bytes. Also compares up to `more` bytes after them, which count
/// as a change.
fn is_same(source: &mut File, copy: &Path, more: u64) -> io::Result<bool> {
    let digest = |bytes: &mut dyn Read| blake3::Hasher::new().update_reader(bytes).map(|done| done.finalize());
    let mut copy = File::open(copy)?;
    let length = copy.metadata()?.len();
    source.rewind()?;
    Ok(digest(&mut source.take(length + more))? == digest(&mut copy)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// Copies a store, changes the original, and returns true if the copy is still from one moment.
    fn is_whole_after(change: impl FnOnce(&File, &File)) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("s.db")).unwrap();
        let log = format!("{path}-wal");
        fs::write(&path, [&MAGIC[..], b"pages"].concat()).unwrap();
        fs::write(&log, "salt, frame").unwrap();
        let mut copy = Copy::attempt(&path).unwrap().unwrap();
        let open = |path: &str| File::options().read(true).write(true).open(path).unwrap();
        change(&open(path.as_str()), &open(&log));
        copy.is_whole().unwrap()
    }

    #[test]
    fn a_copy_of_several_moments_is_seen() {
        assert!(is_whole_after(|_, _| {}));
        let append = |mut file: &File| {
            file.seek(io::SeekFrom::End(0)).unwrap();
            file.write_all(b", more").unwrap();
        };
        assert!(is_whole_after(|_, log| append(log)), "a log may grow");
        assert!(!is_whole_after(|_, log| log.write_all_at(b"new salt", 0).unwrap()), "a log began again");
        assert!(!is_whole_after(|_, log| log.set_len(3).unwrap()), "a log became shorter");
        assert!(!is_whole_after(|file, _| file.write_all_at(b"P", 17).unwrap()), "the log was folded in");
        assert!(!is_whole_after(|file, _| append(file)), "the log was folded in, with a page more");
    }
}
