//! Opens the database, brings its tables up to date and says clearly why it cannot. Never changes a
//! store that a newer deployer wrote, or a database that is not a store.

use super::{Store, place};
use crate::disk::by_errno;
use crate::failure::{Failure, Reason};
use camino::Utf8Path;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use std::fmt::Display;
use std::time::Duration;
use tokio::sync::Mutex;

static MIGRATOR: Migrator = sqlx::migrate!("src/store/migrations");

/// `SQLITE_IOERR_SHMSIZE`: the index of the write-ahead log cannot grow.
const SHMSIZE: u32 = 4874;

/// How long another process may hold the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the first look at the tables shows.
enum Tables {
    Current,
    Outdated,
    Newer(i64),
    Foreign,
}

impl Store {
    /// Opens the store for writing and creates it where there is none. A relative path is one below
    /// `directory`. A store that cannot be written is refused here, not in the middle of a run.
    pub async fn open(url: &str, directory: &Utf8Path) -> Result<Self, Failure> {
        let path = place::path(url, directory)?;
        let failed = |error: std::io::Error| unusable(&path, &error).or_disk(&error, &path);
        if !place::exists(&path).map_err(failed)? {
            place::create(&path).map_err(failed)?;
        }
        let mut connection = connect(&path, false).await?;
        if let Err(failure) = bring_up_to_date(&mut connection, &path).await {
            let _ = connection.close().await;
            return Err(failure);
        }
        let store = Self { path, connection: Mutex::new(Some(connection)) };
        match store.prune().await {
            Ok(()) => Ok(store),
            Err(failure) => {
                store.close().await;
                Err(failure)
            }
        }
    }

    /// Opens the store for reading; `None` where there is none. Creates nothing, and reads a store
    /// on a read-only file system too.
    pub async fn open_existing(url: &str, directory: &Utf8Path) -> Result<Option<Self>, Failure> {
        let path = place::path(url, directory)?;
        if !place::exists(&path).map_err(|error| unusable(&path, &error).or_disk(&error, &path))? {
            return Ok(None);
        }
        let connection = match read(&path, false).await {
            // A read-only file system: no index of the write-ahead log can be made, so go without.
            Err(failure) if matches!(failure.reason, Reason::StoreUnusable | Reason::ReadOnly) && is_at_rest(&path) => {
                read(&path, true).await.map_err(|_| failure)?
            }
            other => other?,
        };
        Ok(Some(Self { path, connection: Mutex::new(Some(connection)) }))
    }

    /// Closes the store, whoever else still has it, so that its write-ahead log is folded into the one file: waits for
    /// the task that uses the connection, and every later one is refused.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // What was written is on the disk already; there is nothing left that could be lost.
            let _ = connection.close().await;
        }
    }

    pub(super) fn unusable(&self, error: impl Into<sqlx::Error>) -> Failure {
        explain(&self.path, &error.into())
    }
}

async fn read(path: &Utf8Path, immutable: bool) -> Result<SqliteConnection, Failure> {
    let mut connection = connect(path, immutable).await?;
    let usable = match look(&mut connection).await.map_err(|error| explain(path, &error)) {
        Ok(Tables::Current) => Ok(()),
        Ok(Tables::Outdated) => bring_up_to_date(&mut connection, path).await,
        Ok(Tables::Newer(version)) => Err(newer(path, version)),
        Ok(Tables::Foreign) => Err(foreign(path)),
        Err(failure) => Err(failure),
    };
    match usable {
        Ok(()) => Ok(connection),
        Err(failure) => {
            let _ = connection.close().await;
            Err(failure)
        }
    }
}

async fn connect(path: &Utf8Path, immutable: bool) -> Result<SqliteConnection, Failure> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(PATIENCE);
    let options = if immutable {
        options.immutable(true).read_only(true)
    } else {
        options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
    };
    options.connect().await.map_err(|error| explain(path, &error))
}

/// Takes the write lock, which shows that the store can be written, and runs what is missing.
async fn bring_up_to_date(connection: &mut SqliteConnection, path: &Utf8Path) -> Result<(), Failure> {
    let explained = |error: sqlx::Error| explain(path, &error);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(explained)?;
    match look(&mut transaction).await.map_err(explained)? {
        Tables::Current => {}
        Tables::Outdated => {
            MIGRATOR.run_direct(None, &mut *transaction, false).await.map_err(|error| unusable(path, error))?;
        }
        Tables::Newer(version) => return Err(newer(path, version)),
        Tables::Foreign => return Err(foreign(path)),
    }
    transaction.commit().await.map_err(explained)
}

/// Reads which migrations the database has seen, without changing anything.
async fn look(connection: &mut SqliteConnection) -> Result<Tables, sqlx::Error> {
    let (ours, any): (bool, bool) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE name = '_sqlx_migrations') > 0, count(*) > 0 FROM sqlite_schema WHERE type = 'table'",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !ours {
        return Ok(if any { Tables::Foreign } else { Tables::Outdated });
    }
    let seen: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut *connection).await?;
    let known = MIGRATOR.iter().map(|migration| migration.version).max();
    Ok(match seen {
        Some(version) if seen > known => Tables::Newer(version),
        _ if seen == known => Tables::Current,
        _ => Tables::Outdated,
    })
}

/// Whether no write-ahead log waits beside the file, so that the file alone is the whole store.
fn is_at_rest(path: &Utf8Path) -> bool {
    std::fs::metadata(format!("{path}-wal")).map_or(true, |log| log.len() == 0)
}

pub(super) fn unusable(path: &Utf8Path, error: impl Display) -> Failure {
    Failure::new(Reason::StoreUnusable, format!("The state store {path} cannot be used: {error}"))
}

fn newer(path: &Utf8Path, version: i64) -> Failure {
    Failure::new(
        Reason::StoreNewer,
        format!("The state store {path} has format {version}, which is newer than this deployer knows"),
    )
}

fn foreign(path: &Utf8Path) -> Failure {
    unusable(path, "it is a database of another program")
}

/// Words what the database says, by its primary result code, and by its extended one where a full disk hides there: the
/// index of the write-ahead log that cannot grow.
fn explain(path: &Utf8Path, error: &sqlx::Error) -> Failure {
    let sqlx::Error::Database(database) = error else { return unusable(path, error) };
    let code = database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
    match code & 0xff {
        3 | 23 => unusable(path, "permission denied"),
        5 | 6 => unusable(path, "another process holds it").hint("Wait until that process ends, then run this again"),
        8 => unusable(path, "it is read-only").or_disk_reason(unwritable(path), path.as_str()),
        10 if code != SHMSIZE => {
            let failure = unusable(path, "the disk fails").details(database.message());
            failure.or_disk_reason(Some(Reason::IoError), path.as_str())
        }
        11 => unusable(path, "it is damaged").details(database.message()),
        10 | 13 => unusable(path, "the disk is full").or_disk_reason(Some(Reason::DiskFull), path.as_str()),
        14 => unusable(path, "it cannot be opened").or_disk_reason(unwritable(path), path.as_str()),
        26 => unusable(path, "it is not a database"),
        _ => unusable(path, database.message()),
    }
}

/// Which trouble of a disk keeps a file from being written: `SQLite` says the same of a file system that can only be read
/// and of a file without the permission.
fn unwritable(path: &Utf8Path) -> Option<Reason> {
    let opened = std::fs::OpenOptions::new().append(true).open(path);
    opened.err().and_then(|error| by_errno(&error))
}
