//! The state store: the last observation of each environment, the runs, and the intents of their steps. Holds no values
//! of secrets. Records hold only observations.

mod copy;
mod fault;
mod history;
mod infrastructure;
mod journal;
mod lease;
mod open;
mod place;
mod record;
mod tables;
mod work;

pub use history::{Past, PastStep};
pub use infrastructure::{Plain, Sealed};
pub use journal::{InDoubt, Run};
pub use record::{FormerEntry, Record};

use crate::model::failure::Failure;
use camino::Utf8PathBuf;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

/// An open store. Shared by all tasks of a run. Writes reach the disk before a method returns.
#[derive(Debug)]
pub struct Store {
    /// Absolute path of the database file, for messages.
    path: Utf8PathBuf,
    /// The connection; `None` after the store was closed.
    connection: Mutex<Option<SqliteConnection>>,
    /// The work of the connection's current query.
    work: work::Work,
    /// The file that was inspected before opening the store. Closing it earlier would release the locks of the
    /// connection.
    _source: Option<std::fs::File>,
}

impl Store {
    /// Returns the connection, for one task at a time.
    async fn connection(&self) -> Result<MappedMutexGuard<'_, SqliteConnection>, Failure> {
        let connection = self.connection.lock().await;
        self.work.renew();
        MutexGuard::try_map(connection, Option::as_mut).map_err(|_| fault::unusable(&self.path, "it is closed"))
    }
}
