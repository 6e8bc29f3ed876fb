//! The lock on a state: its holder, and its release after the holder has died. A lock of a live run is not released.

use super::vault::Vault;
use crate::model::failure::{Failure, Reason};
use crate::model::holder::Holder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The lock on a state, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// OpenTofu's own ID of the lock.
    pub id: String,
    /// The run that holds the lock.
    pub holder: Holder,
    /// OpenTofu's own description of the lock.
    pub info: Value,
}

impl Lock {
    /// Parses the line from the store.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Returns the holder and the start time of the lock, for people.
    #[must_use]
    pub fn whose(&self) -> String {
        let since = self.info.get("Created").and_then(Value::as_str);
        since.map_or_else(|| self.holder.to_string(), |since| format!("{}, since {since}", self.holder))
    }
}

/// Returns the failure of a run that finds the state locked.
pub(super) fn refused(line: &str) -> Failure {
    let who = Lock::parse(line).map_or_else(|| line.to_owned(), |lock| lock.whose());
    Failure::new(Reason::StateLocked, format!("Another run holds the lock on the infrastructure's state: {who}"))
}

/// Releases a lock whose run has ended, or that cannot be parsed.
///
/// # Errors
/// `StateLocked` if the run is alive or on another machine.
pub(super) async fn clear(vault: &Vault) -> Result<(), Failure> {
    let Some(line) = vault.locked().await? else { return Ok(()) };
    match Lock::parse(&line) {
        Some(lock) if !lock.holder.gone() => Err(refused(&line).on(vault.environment())),
        _ => vault.unlock(&line).await.map(|_| ()),
    }
}
