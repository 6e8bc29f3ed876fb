//! Opens the database, brings its tables up to date and says clearly why it cannot. Every store is judged by a private copy
//! first, so one that is not ours, or that a newer deployer wrote, is never changed or even opened.

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

/// Most memory of all open databases (bytes); a value is a state of OpenTofu at most, which is read into memory twice.
const HEAP: &str = "1073741824";

/// How long another process may hold the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open copy of a store, whose tables are ours.
struct Judged {
    connection: SqliteConnection,
    work: Work,
    tables: Tables,
    copy: Copy,
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

    /// Opens the store for writing where there is one: `None`, and nothing is created, if there is none. A store that
    /// cannot be written, as on a read-only file system, is opened as [`Store::read`] does.
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

    /// Reads the store as it is now; `None` if there is none. Changes, migrates and creates nothing where it is: what is
    /// open is a private copy.
    pub async fn read(url: &str, directory: &Utf8Path) -> Result<Option<Self>, Failure> {
        let path = place::path(url, directory)?;
        match judge(&path).await?.filter(|judged| judged.tables != Tables::None) {
            Some(judged) => judged.into_store(path).await.map(Some),
            None => Ok(None),
        }
    }

    async fn write(path: &Utf8Path) -> Result<Self, Failure> {
        let options = options(path.as_ref()).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let mut connection = options.connect().await.map_err(|error| explain(path, &error))?;
        let usable = async {
            let work = Work::limit(&mut connection).await.map_err(|error| explain(path, &error))?;
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

impl Judged {
    /// Makes a store of the copy that can only be read. Its pages are looked through once: only a damaged or forged store has
    /// more rows than its size allows.
    async fn into_store(mut self, path: Utf8PathBuf) -> Result<Store, Failure> {
        let explained = |error: sqlx::Error| explain(&path, &error);
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

/// Copies a store and reads what its tables are; `None` if there is no file, or an empty one.
async fn judge(path: &Utf8Path) -> Result<Option<Judged>, Failure> {
    let explained = |error: sqlx::Error| explain(path, &error);
    let Some(copy) = Copy::take(path).await? else { return Ok(None) };
    let options = options(&copy.file()).locking_mode(SqliteLockingMode::Exclusive);
    let mut connection = options.connect().await.map_err(explained)?;
    let work = Work::limit(&mut connection).await.map_err(explained)?;
    // Folds the log in.
    connection.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY").await.map_err(explained)?;
    let tables = Tables::of(&mut connection).await.map_err(explained)?;
    match tables {
        Tables::Newer(version) => Err(newer(path, version)),
        Tables::Foreign => Err(foreign(path)),
        // Ours have no such journal once they have tables.
        Tables::Current | Tables::Outdated if copy.has_journal => {
            Err(unusable(path, "a journal is next to it that deployer did not leave")
                .hint(format!("Remove {path}-journal, or name another store with --state sqlite:PATH")))
        }
        Tables::None | Tables::Current | Tables::Outdated => Ok(Some(Judged { connection, work, tables, copy })),
    }
}

/// How every database is opened: nothing in it is run, and its pages are checked as they are read.
fn options(file: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(PATIENCE);
    // A small file may claim to hold values of any size.
    let options = options.pragma("hard_heap_limit", HEAP);
    options.pragma("trusted_schema", "OFF").pragma("cell_size_check", "ON")
}

/// Takes the write lock, which shows that the store can be written, and runs what is missing.
async fn bring_up_to_date(connection: &mut SqliteConnection, path: &Utf8Path) -> Result<(), Failure> {
    let explained = |error: sqlx::Error| explain(path, &error);
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
