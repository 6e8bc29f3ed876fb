//! Past runs, and releases that can be rolled back to.

use jiff::Timestamp;
use serde::Serialize;

/// One release that a host keeps or that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReleaseView {
    /// The environment.
    pub environment: String,
    /// The release's id, which begins with the release's creation time.
    pub release: String,
    /// True if the release is live.
    pub live: bool,
    /// True if the release can be rolled back to: it converged once, and the host has its files.
    pub kept: bool,
    /// Reason why the release is not tried again; `None` if it was not rejected.
    pub rejected: Option<String>,
}

/// One past run, as `deployer history` lists it.
#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    /// The run's unique id.
    pub id: String,
    /// The command.
    pub command: String,
    /// The user who started the run, as `user@machine`.
    pub by: String,
    /// Start of the run.
    pub started_at: Timestamp,
    /// Duration of the run; `None` if the run is in progress or was killed.
    pub duration_ms: Option<u64>,
    /// Outcome of the run; `None` if the run is in progress or was killed.
    pub outcome: Option<String>,
    /// The environments of the run.
    pub environments: Vec<String>,
    /// The steps that failed.
    pub failed: Vec<FailedStep>,
}

/// A step of a past run that failed.
#[derive(Clone, Debug, Serialize)]
pub struct FailedStep {
    /// The environment.
    pub environment: String,
    /// The kind's name, possibly one of another version of deployer.
    pub kind: String,
}
