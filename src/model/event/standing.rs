//! How environments stand. Never worded here.

use super::Left;
use crate::model::state::{Kind, Stage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How healthy the services are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All services and gating checks are well.
    Healthy,
    /// Some are not well yet, none is bad.
    Starting,
    /// Some are bad.
    Unhealthy,
    /// There are no services, or they were not observed.
    None,
}

/// One environment as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct EnvironmentView {
    /// Its name.
    pub name: String,
    /// `registered` or `provisioned`.
    pub target: &'static str,
    /// Its lifecycle stage.
    pub stage: Stage,
    /// Its health.
    pub health: Health,
    /// The kinds that differ from the manifest.
    pub drifted: Vec<Kind>,
    /// Those of the differences that are left as they are, and those that are ignored.
    pub left: Vec<Left>,
    /// What failed last, if nothing succeeded since.
    pub failed: Option<FailedView>,
    /// Who works on it now.
    pub in_progress: Option<String>,
    /// Whether it is left alone until resumed.
    pub suspended: bool,
    /// Whether it may not be destroyed.
    pub protected: bool,
    /// When it was last observed.
    pub observed_at: Option<Timestamp>,
    /// The address it is reached at.
    pub address: String,
    /// Published addresses (`http://…`, `tcp://…`).
    pub endpoints: Vec<String>,
    /// How its backups stand, where it has some.
    pub backup: Option<BackupView>,
    /// Service → its state on the host.
    pub services: BTreeMap<String, String>,
    /// Why it could not be observed now, if it could not.
    pub unreachable: Option<String>,
}

/// How the archives of an environment's data stand.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BackupView {
    /// When the newest verified one was made.
    pub last: Option<Timestamp>,
    /// Its name on the host.
    pub archive: Option<String>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// Whether it is older than it should be; then the environment is unhealthy.
    pub overdue: bool,
    /// Why the last attempt failed, if it did.
    pub failed: Option<String>,
    /// Why what comes after the last one failed, if it did.
    pub after_failed: Option<String>,
    /// The archive whose restoring began and did not end.
    pub restoring: Option<String>,
}

/// One archive of an environment's data on its host. It was read back and found whole.
#[derive(Clone, Debug, Serialize)]
pub struct ArchiveView {
    /// The environment.
    pub environment: String,
    /// Its name.
    pub archive: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was made.
    pub made: Timestamp,
    /// Where it was downloaded to, if it was.
    pub saved: Option<String>,
}

/// What failed last.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct FailedView {
    /// The kind whose step failed.
    pub kind: Option<Kind>,
    /// The reason's code.
    pub reason: String,
    /// What failed.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// The run it happened in.
    pub run: String,
}

/// One check of `deployer test`.
#[derive(Clone, Debug, Serialize)]
pub struct CheckView {
    /// The environment.
    pub environment: String,
    /// The check's name, or `service NAME`.
    pub check: String,
    /// Whether it passes.
    pub passed: bool,
    /// What was found.
    pub found: String,
}
