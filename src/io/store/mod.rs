//! The state store: what was last observed of each environment, which runs there were and what they
//! were about to do. Never holds a secret's value, and never anything but an observation as a record.

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
pub use record::{Reach, Record};

use crate::model::failure::Failure;
use camino::Utf8PathBuf;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

/// An open store. Shared by all tasks of a run; writes reach the disk before a method returns.
#[derive(Debug)]
pub struct Store {
    /// The database file, absolute, for messages.
    path: Utf8PathBuf,
    /// `None` once it was closed.
    connection: Mutex<Option<SqliteConnection>>,
    /// How much work the query of the connection was so far.
    work: work::Work,
    /// The file from which the store was judged; closing it earlier would give up the locks of the connection.
    _source: Option<std::fs::File>,
}

impl Store {
    /// The connection, for one task at a time.
    async fn connection(&self) -> Result<MappedMutexGuard<'_, SqliteConnection>, Failure> {
        let connection = self.connection.lock().await;
        self.work.renew();
        MutexGuard::try_map(connection, Option::as_mut).map_err(|_| fault::unusable(&self.path, "it was closed"))
    }
}
