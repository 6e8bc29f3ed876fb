//! The failures of a store that cannot be used. The only place that knows the database's error codes.

use crate::model::disk::by_errno;
use crate::model::failure::{Failure, Reason};
use camino::Utf8Path;
use std::error::Error;

/// `SQLITE_IOERR_SHMSIZE`: the index of the write-ahead log cannot grow.
const SHMSIZE: u32 = 4874;

pub(super) fn unusable(path: &Utf8Path, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::new(Reason::StoreUnusable, format!("The state store {path} cannot be used")).because(cause)
}

pub(super) fn newer(path: &Utf8Path, version: i64) -> Failure {
    Failure::new(
        Reason::StoreNewer,
        format!("The state store {path} has format {version}, which is newer than this deployer knows"),
    )
}

pub(super) fn foreign(path: &Utf8Path) -> Failure {
    unusable(path, "it belongs to another program, or another program changed it")
        .hint("Name another store with --state sqlite:PATH, or take this one from a backup")
}

pub(super) fn damaged(path: &Utf8Path, how: &str) -> Failure {
    unusable(path, "it is damaged").details(how)
}

/// Returns the failure for a database error, by its primary result code. Uses the extended code only to detect a full
/// disk when the index of the write-ahead log cannot grow.
pub(super) fn explain(path: &Utf8Path, error: sqlx::Error) -> Failure {
    let sqlx::Error::Database(database) = error else { return unusable(path, error) };
    let code = database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
    match code & 0xff {
        3 | 23 => unusable(path, "permission denied"),
        5 | 6 => {
            unusable(path, "another process has it locked").hint("Wait until that process ends, then run this again")
        }
        8 => unusable(path, "it is read-only").or_disk_reason(unwritable(path), path.as_str()),
        9 => unusable(path, "a query takes more work than any store of deployer needs"),
        10 if code != SHMSIZE => {
            let failure = unusable(path, "the disk fails").details(database.message());
            failure.or_disk_reason(Some(Reason::IoError), path.as_str())
        }
        11 => damaged(path, database.message()),
        10 | 13 => unusable(path, "the disk is full").or_disk_reason(Some(Reason::DiskFull), path.as_str()),
        14 => unusable(path, "it cannot be opened").or_disk_reason(unwritable(path), path.as_str()),
        26 => unusable(path, "it is not a database"),
        _ => unusable(path, database.message()),
    }
}

/// Returns the disk error that prevents writing to a file. `SQLite` does not distinguish a read-only file system from a
/// missing permission.
fn unwritable(path: &Utf8Path) -> Option<Reason> {
    let opened = std::fs::OpenOptions::new().append(true).open(path);
    opened.err().and_then(|error| by_errno(&error))
}
