//! Opens the database and migrates its tables, with clear errors. Inspects a private copy of the store first, so a
//! database of another program or of a newer deployer is neither changed nor opened.

use super::copy::Copy;
use super::fault::{damaged, explain, foreign, newer, unusable};
use super::tables::{MIGRATOR, Tables};
use super::work::Work;
use super::{Store, place};
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor as _};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;

/// Memory limit of all open databases (bytes). The largest value is a state of OpenTofu, which is read into memory
/// twice.
const HEAP: &str = "1073741824";

/// Time to wait for another process that has locked the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open copy of a store that has our tables.
struct Judged {
    connection: SqliteConnection,
    work: Work,
    tables: Tables,
    copy: Copy,
}

impl Store {
    /// Opens the store for writing. Creates it if it does not exist. A relative path is below `directory`. Refuses a
    /// store that cannot be written, so that a run does not fail in the middle.
    pub async fn open(url: &str, directory: &Utf8Path) -> Result<Self, Failure> {
        let path = place::path(url, directory)?;
        let failed = |error: std::io::Error| unusable(&path, error).or_disk(&path);
        if !place::exists(&path).map_err(failed)? {
            place::create(&path).map_err(failed)?;
        }
        let judged = judge(&path).await?;
        let store = Self::write(&path).await?;
        let store = Self { _source: judged.map(|judged| judged.copy.source), ..store };
        match store.prune().await {
            Ok(()) => Ok(store),
            Err(failure) => {
                store.close().await;
                Err(failure)
            }
        }
    }

    /// Opens the store for writing if it exists; otherwise returns `None` and creates nothing. A store that cannot be
    /// written, as on a read-only file system, is opened as [`Store::read`] does.
    pub async fn open_existing(url: &str, directory: &Utf8Path) -> Result<Option<Self>, Failure> {
        let path = place::path(url, directory)?;
        let Some(judged) = judge(&path).await?.filter(|judged| judged.tables != Tables::None) else { return Ok(None) };
        match Self::write(&path).await {
            Err(failure) if matches!(failure.reason, Reason::StoreUnusable | Reason::ReadOnly) => {
                judged.into_store(path).await.map(Some)
            }
            written => written.map(|store| Some(Self { _source: Some(judged.copy.source), ..store })),
        }
    }

    /// Opens a private copy of the store; `None` if there is no store. Does not change, migrate or create the store
    /// itself.
    pub async fn read(url: &str, directory: &Utf8Path) -> Result<Option<Self>, Failure> {
        let path = place::path(url, directory)?;
        match judge(&path).await?.filter(|judged| judged.tables != Tables::None) {
            Some(judged) => judged.into_store(path).await.map(Some),
            None => Ok(None),
        }
    }

    async fn write(path: &Utf8Path) -> Result<Self, Failure> {
        let options = options(path.as_ref()).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let mut connection = options.connect().await.map_err(|error| explain(path, error))?;
        let usable = async {
            let work = Work::limit(&mut connection).await.map_err(|error| explain(path, error))?;
            bring_up_to_date(&mut connection, path).await.map(|()| work)
        };
        match usable.await {
            Ok(work) => {
                Ok(Self { path: path.to_owned(), connection: Mutex::new(Some(connection)), work, _source: None })
            }
            Err(failure) => {
                let _ = connection.close().await;
                Err(failure)
            }
        }
    }

    /// Closes the store for all its users, so that the write-ahead log is merged into the database file. Waits for the
    /// task that uses the connection; later uses fail.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // All writes are on the disk already. A failure to close loses nothing.
            let _ = connection.close().await;
        }
    }

    pub(super) fn unusable(&self, error: impl Into<sqlx::Error>) -> Failure {
        explain(&self.path, error.into())
    }
}

impl Judged {
    /// Returns the copy as a read-only store. Checks all pages once: only a damaged or forged store has more rows than
    /// its size allows.
    async fn into_store(mut self, path: Utf8PathBuf) -> Result<Store, Failure> {
        let explained = |error: sqlx::Error| explain(&path, error);
        let sound = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut self.connection).await;
        let sound: String = sound.map_err(explained)?;
        if sound != "ok" {
            return Err(damaged(&path, &sound));
        }
        if self.tables == Tables::Outdated {
            bring_up_to_date(&mut self.connection, &path).await?;
        }
        self.connection.execute("PRAGMA query_only = ON").await.map_err(explained)?;
        Ok(Store { connection: Mutex::new(Some(self.connection)), work: self.work, path, _source: None })
    }
}

/// Copies a store and classifies its tables; `None` if the file does not exist or is empty.
async fn judge(path: &Utf8Path) -> Result<Option<Judged>, Failure> {
    let explained = |error: sqlx::Error| explain(path, error);
    let Some(copy) = Copy::take(path).await? else { return Ok(None) };
    let options = options(&copy.file()).locking_mode(SqliteLockingMode::Exclusive);
    let mut connection = options.connect().await.map_err(explained)?;
    let work = Work::limit(&mut connection).await.map_err(explained)?;
    // Merges the log into the copy.
    connection.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY").await.map_err(explained)?;
    let tables = Tables::of(&mut connection).await.map_err(explained)?;
    match tables {
        Tables::Newer(version) => Err(newer(path, version)),
        Tables::Foreign => Err(foreign(path)),
        // Our stores have no rollback journal after their tables were created.
        Tables::Current | Tables::Outdated if copy.has_journal => {
            Err(unusable(path, "there is a journal next to it that deployer did not write")
                .hint(format!("Remove {path}-journal, or name another store with --state sqlite:PATH")))
        }
        Tables::None | Tables::Current | Tables::Outdated => Ok(Some(Judged { connection, work, tables, copy })),
    }
}

/// Returns the options for every database: SQL from the schema is not trusted, and pages are checked when they are
/// read.
fn options(file: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(PATIENCE);
    // A small file may claim to hold values of any size.
    let options = options.pragma("hard_heap_limit", HEAP);
    options.pragma("trusted_schema", "OFF").pragma("cell_size_check", "ON")
}

/// Takes the write lock, which proves that the store can be written, and runs the missing migrations.
async fn bring_up_to_date(connection: &mut SqliteConnection, path: &Utf8Path) -> Result<(), Failure> {
    let explained = |error: sqlx::Error| explain(path, error);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(explained)?;
    match Tables::of(&mut transaction).await.map_err(explained)? {
        Tables::Current => {}
        Tables::None | Tables::Outdated => {
            MIGRATOR.run_direct(None, &mut *transaction, false).await.map_err(|error| unusable(path, error))?;
        }
        Tables::Newer(version) => return Err(newer(path, version)),
        Tables::Foreign => return Err(foreign(path)),
    }
    transaction.commit().await.map_err(explained)
}
