//! Events of a watch. Other commands do not emit them.

use jiff::Timestamp;
use serde::Serialize;

/// Event of a watch.
#[derive(Clone, Debug, Serialize)]
pub struct WatchView {
    /// The time of the event.
    pub at: Timestamp,
    /// The event.
    pub event: Happening,
    /// The environment, if there is one.
    pub environment: Option<String>,
    /// The event as a message for people.
    pub message: String,
}

/// Type of a watch event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// The watch began.
    Started,
    /// The watch accepts HTTP requests.
    Listening,
    /// The Git checkout moved forward.
    Pulled,
    /// The manifest changed.
    ManifestChanged,
    /// The manifest is invalid. The last valid one stays in use.
    ManifestInvalid,
    /// The manifest is valid again.
    ManifestMended,
    /// Files from which an environment is made changed.
    FilesChanged,
    /// An environment waits for an environment that it depends on.
    Waiting,
    /// A reconciliation that changed something or failed ended.
    Reconciled,
    /// A fact was corrected repeatedly and is no longer corrected.
    Quarantined,
    /// The watch ends.
    Stopping,
}

impl Happening {
    /// Every event.
    pub const ALL: [Self; 11] = [
        Self::Started,
        Self::Listening,
        Self::Pulled,
        Self::ManifestChanged,
        Self::ManifestInvalid,
        Self::ManifestMended,
        Self::FilesChanged,
        Self::Waiting,
        Self::Reconciled,
        Self::Quarantined,
        Self::Stopping,
    ];
}
