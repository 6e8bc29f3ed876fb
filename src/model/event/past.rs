//! What was done, and what can be gone back to. Never what is meant to be done.

use jiff::Timestamp;
use serde::Serialize;

/// One release that a host keeps, or one that it turned down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReleaseView {
    /// The environment.
    pub environment: String,
    /// Its id, which begins with the time it was made.
    pub release: String,
    /// Whether it is the live one.
    pub live: bool,
    /// Whether it can be rolled back to: it converged once, and the host has its files.
    pub kept: bool,
    /// Why it is not tried again, where it was turned down.
    pub rejected: Option<String>,
}

/// One run of the past, as `deployer history` lists it.
#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    /// Its unique id.
    pub id: String,
    /// The command.
    pub command: String,
    /// Who started it.
    pub by: String,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took; `None` where it is under way or was killed.
    pub duration_ms: Option<u64>,
    /// How it ended; `None` where it is under way or was killed.
    pub outcome: Option<String>,
    /// The environments it worked on.
    pub environments: Vec<String>,
    /// The steps that failed.
    pub failed: Vec<FailedStep>,
}

/// A step of a past run that failed.
#[derive(Clone, Debug, Serialize)]
pub struct FailedStep {
    /// The environment.
    pub environment: String,
    /// The kind's name; of any version.
    pub kind: String,
}
