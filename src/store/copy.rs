//! A private copy of a store as it was at one moment, whoever writes to it meanwhile. Never opens the database itself, takes
//! no lock and makes no file next to it: whatever is there stays as it is.

use super::fault::unusable;
use super::place;
use crate::failure::Failure;
use crate::{below, scratch};
use camino::{Utf8Path, Utf8PathBuf};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest file that is copied (bytes).
const LARGEST: u64 = 1 << 30;
/// How every database of `SQLite` begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How often a store is copied again because another process changed it meanwhile, and after which pause.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// A copy, which is removed with this value.
pub(super) struct Copy {
    directory: scratch::Directory,
    /// The store's own file. Closing any handle of a file gives up the locks that this process has on it, also those of a
    /// connection, so it has to live as long as one.
    pub source: File,
    /// Whether a rollback journal is next to the store. `SQLite` would obey it, and remove a file that it names.
    pub has_journal: bool,
}

/// How an attempt to copy a store ended.
enum Taken {
    /// No file, or an empty one: there is no store.
    Nothing,
    /// The store was changed while it was copied.
    Torn,
    Whole(Copy),
}

impl Copy {
    /// Copies a store with its write-ahead log; `None` if there is no store.
    pub async fn take(path: &Utf8Path) -> Result<Option<Self>, Failure> {
        for _ in 0..ATTEMPTS {
            let own = path.to_owned();
            let attempt = tokio::task::spawn_blocking(move || attempt(&own)).await;
            match attempt.map_err(|error| unusable(path, error))?? {
                Taken::Nothing => return Ok(None),
                Taken::Torn => tokio::time::sleep(PAUSE).await,
                Taken::Whole(copy) => return Ok(Some(copy)),
            }
        }
        Err(unusable(path, "another process writes to it all the time")
            .hint("Wait until that process ends, then run this again"))
    }

    /// The copied database; its log has the name that `SQLite` expects.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("state.db")
    }
}

/// Copies the file, then its log, and compares both with what is there, in the opposite order. While the log is read, the
/// file is what was copied, and the log was only added to: so both are from one moment.
fn attempt(path: &Utf8Path) -> Result<Taken, Failure> {
    let failed = |error: io::Error| unusable(path, &error).or_disk(&error, path);
    if !place::exists(path).map_err(failed)? {
        return Ok(Taken::Nothing);
    }
    // The log is next to the file itself, wherever a link to it is.
    let real = path.canonicalize_utf8().map_err(failed)?;
    let Some(mut source) = open(&real)?.filter(|file| file.metadata().is_ok_and(|about| about.len() > 0)) else {
        return Ok(Taken::Nothing);
    };
    let mut magic = [0; MAGIC.len()];
    if source.read_exact_at(&mut magic, 0).is_err() || magic != *MAGIC {
        return Err(unusable(path, "it is not a database"));
    }
    let directory = scratch::Directory::new().map_err(|error| copying(path, "a temporary directory", &error))?;
    let (to, log_to) = (directory.path().join("state.db"), directory.path().join("state.db-wal"));
    copy(&mut source, &to, path)?;
    let log = Utf8PathBuf::from(format!("{real}-wal"));
    let log_is_same = match open(&log)? {
        Some(mut file) => {
            copy(&mut file, &log_to, &log)?;
            is_same(&mut file, &log_to, 0).map_err(failed)?
        }
        None => true,
    };
    if !log_is_same || !is_same(&mut source, &to, 1).map_err(failed)? {
        return Ok(Taken::Torn);
    }
    let has_journal = fs::symlink_metadata(format!("{real}-journal")).is_ok_and(|about| about.len() > 0);
    Ok(Taken::Whole(Copy { directory, source, has_journal }))
}

/// Opens a regular file that is no link; `None` if there is none.
fn open(path: &Utf8Path) -> Result<Option<File>, Failure> {
    let name = path.file_name().unwrap_or_default();
    let file = match below::open(path.parent().unwrap_or(path), name.into()) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error).or_disk(&error, path)),
    };
    if file.metadata().is_ok_and(|about| about.len() > LARGEST) {
        return Err(unusable(path, "it is larger than 1 GiB").hint("Name another store with --state sqlite:PATH"));
    }
    Ok(Some(file))
}

fn copy(source: &mut File, to: &Path, path: &Utf8Path) -> Result<(), Failure> {
    let copied = File::create_new(to).and_then(|mut copy| io::copy(&mut source.take(LARGEST), &mut copy));
    copied.map(drop).map_err(|error| copying(path, &to.display().to_string(), &error))
}

fn copying(path: &Utf8Path, to: &str, error: &io::Error) -> Failure {
    unusable(path, format!("it cannot be copied to {to}: {error}")).or_disk(error, to)
}

/// Says whether a file still begins with what was copied of it. Of what follows, so many bytes count as a change.
fn is_same(source: &mut File, copy: &Path, more: u64) -> io::Result<bool> {
    let digest = |bytes: &mut dyn Read| blake3::Hasher::new().update_reader(bytes).map(|done| done.finalize());
    let mut copy = File::open(copy)?;
    let length = copy.metadata()?.len();
    source.rewind()?;
    Ok(digest(&mut source.take(length + more))? == digest(&mut copy)?)
}
