//! What happens to a watch. Never part of any other command.

use jiff::Timestamp;
use serde::Serialize;

/// Something that happened to a watch.
#[derive(Clone, Debug, Serialize)]
pub struct WatchView {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Happening,
    /// The environment, if one.
    pub environment: Option<String>,
    /// The same for people.
    pub message: String,
}

/// What happens to a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// It began.
    Started,
    /// It answers over HTTP.
    Listening,
    /// The Git checkout moved forward.
    Pulled,
    /// The manifest is another one.
    ManifestChanged,
    /// The manifest cannot be used; the last good one is kept.
    ManifestInvalid,
    /// The manifest can be used again.
    ManifestMended,
    /// Files that an environment is made from changed.
    FilesChanged,
    /// An environment waits for one that it depends on.
    Waiting,
    /// A pass over an environment ended that changed something or failed.
    Reconciled,
    /// A fact was corrected again and again and is given up.
    Quarantined,
    /// It ends.
    Stopping,
}

impl Happening {
    /// Each of them.
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
