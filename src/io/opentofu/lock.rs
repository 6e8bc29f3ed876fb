//! The lock on a state: who has it, and when it is given back without them. Never takes one away from a run that lives.

use super::vault::Vault;
use crate::model::failure::{Failure, Reason};
use crate::model::holder::Holder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who has the lock on a state, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// OpenTofu's own id of it.
    pub id: String,
    /// The run.
    pub holder: Holder,
    /// What OpenTofu said of itself.
    pub info: Value,
}

impl Lock {
    /// Reads the store's line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Who has it, and since when, for people.
    #[must_use]
    pub fn whose(&self) -> String {
        let since = self.info.get("Created").and_then(Value::as_str);
        since.map_or_else(|| self.holder.to_string(), |since| format!("{}, since {since}", self.holder))
    }
}

/// The failure of one who finds the state locked.
pub(super) fn refused(line: &str) -> Failure {
    let who = Lock::parse(line).map_or_else(|| line.to_owned(), |lock| lock.whose());
    Failure::new(Reason::StateLocked, format!("{who} has the lock on the infrastructure's state"))
}

/// Gives back a lock whose run is gone.
///
/// # Errors
/// `StateLocked` where its run lives, or is of another machine.
pub(super) async fn clear(vault: &Vault) -> Result<(), Failure> {
    let Some(line) = vault.locked().await? else { return Ok(()) };
    match Lock::parse(&line) {
        Some(lock) if !lock.holder.gone() => Err(refused(&line).on(vault.environment())),
        _ => vault.unlock(&line).await.map(|_| ()),
    }
}
