//! The state store: what was last observed of each environment, which runs there were and what they
//! were about to do. Never holds a secret's value, and never anything but an observation as a record.

mod history;
mod infrastructure;
mod journal;
mod lease;
mod open;
mod place;
mod record;

pub use history::{Past, PastStep};
pub use infrastructure::{Plain, Sealed};
pub use journal::{InDoubt, Run};
pub use record::{Reach, Record};

use camino::Utf8PathBuf;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Mutex;

/// An open store. Shared by all tasks of a run; writes reach the disk before a method returns.
#[derive(Debug)]
pub struct Store {
    /// The database file, absolute, for messages.
    path: Utf8PathBuf,
    connection: Mutex<SqliteConnection>,
}
