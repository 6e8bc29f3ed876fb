//! Current states of environments, as data. Not worded for a screen.

use super::Left;
use crate::model::state::{Kind, Stage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Health of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All services and gating checks are healthy.
    Healthy,
    /// Some are not healthy yet, and none is unhealthy.
    Starting,
    /// Some are unhealthy.
    Unhealthy,
    /// There are no services, or they were not observed.
    None,
}

/// Current state of one environment.
#[derive(Clone, Debug, Serialize)]
pub struct EnvironmentView {
    /// The environment's name.
    pub name: String,
    /// `registered` or `provisioned`.
    pub target: &'static str,
    /// The environment's lifecycle stage.
    pub stage: Stage,
    /// The health of the environment's services.
    pub health: Health,
    /// The kinds that differ from the manifest.
    pub drifted: Vec<Kind>,
    /// The differences that are not corrected or are ignored.
    pub left: Vec<Left>,
    /// The last failure, if nothing succeeded since.
    pub failed: Option<FailedView>,
    /// The run that works on the environment now, if there is one.
    pub in_progress: Option<String>,
    /// True if the environment is suspended.
    pub suspended: bool,
    /// True if the environment must not be destroyed.
    pub protected: bool,
    /// Time of the last observation.
    pub observed_at: Option<Timestamp>,
    /// The address of the host.
    pub address: String,
    /// Published addresses (`http://…`, `tcp://…`).
    pub endpoints: Vec<String>,
    /// State of the environment's backups, if it has any.
    pub backup: Option<BackupView>,
    /// Name of a service → state of that service on the host.
    pub services: BTreeMap<String, String>,
    /// The services, checks and data that are not as they must be, one phrase each.
    pub unwell: Vec<String>,
    /// Reason why the environment could not be observed now, if it could not.
    pub unreachable: Option<String>,
}

/// State of the archives of an environment's data.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BackupView {
    /// Creation time of the newest verified archive.
    pub last: Option<Timestamp>,
    /// Name of that archive on the host.
    pub archive: Option<String>,
    /// Size of that archive in bytes.
    pub bytes: Option<u64>,
    /// True if that archive is too old. The environment is then unhealthy.
    pub overdue: bool,
    /// Reason why the last attempt failed, if it did.
    pub failed: Option<String>,
    /// Reason why the command after the last backup failed, if it did.
    pub after_failed: Option<String>,
    /// The archive whose restore began and did not end.
    pub restoring: Option<String>,
}

/// One archive of an environment's data on its host. The archive was read back and verified.
#[derive(Clone, Debug, Serialize)]
pub struct ArchiveView {
    /// The environment.
    pub environment: String,
    /// The archive's name.
    pub archive: String,
    /// The archive's size in bytes.
    pub bytes: u64,
    /// The archive's creation time.
    pub made: Timestamp,
    /// The local path that it was downloaded to, if it was.
    pub saved: Option<String>,
}

/// The last failure of an environment.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct FailedView {
    /// The kind whose step failed.
    pub kind: Option<Kind>,
    /// The reason's code.
    pub reason: String,
    /// The failure's message.
    pub message: String,
    /// The time of the failure.
    pub at: Timestamp,
    /// The id of the run that failed.
    pub run: String,
}

/// One check of `deployer test`.
#[derive(Clone, Debug, Serialize)]
pub struct CheckView {
    /// The environment.
    pub environment: String,
    /// The check's name, or `service NAME`.
    pub check: String,
    /// True if the check passes.
    pub passed: bool,
    /// The result that was found.
    pub found: String,
}
