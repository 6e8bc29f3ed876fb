//! Plans, as people and pipelines see them. Plans hold no secret.

use super::{Outcome, StepReason};
use crate::model::failure::Location;
use crate::model::state::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Plan, as people and pipelines see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The project.
    pub project: String,
    /// Numbers of steps by action.
    pub summary: Summary,
    /// The steps in the order in which they are applied.
    pub steps: Vec<PlannedStep>,
    /// Dependencies between steps: pairs of indices into `steps`, the earlier step first. Transitive dependencies are
    /// left out.
    pub edges: Vec<(usize, usize)>,
    /// Age of the observation that the plan is based on, in seconds; `None` if the hosts were just read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_seconds_ago: Option<u64>,
    /// The Git ref that the plan compares with; `None` if it compares with hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Environments that were compared and match the manifest.
    pub converged: Vec<String>,
    /// Environments without steps that were not compared with the manifest, or do not match it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<Unchanged>,
    /// Files that could not be compared, by their environments: whether those are as wanted is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uncompared: BTreeMap<String, Vec<String>>,
    /// Environments that could not be planned and whose failures were already reported.
    #[serde(skip)]
    pub unplanned: Vec<String>,
    /// Locations of the environments in the manifest, for annotations.
    #[serde(skip)]
    pub places: BTreeMap<String, Location>,
    /// Drift that the plan does not correct.
    #[serde(default)]
    pub left: Vec<Left>,
}

impl PlanView {
    /// Says whether there may be changes that it does not show.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !(self.unplanned.is_empty() && self.uncompared.is_empty())
    }

    /// Returns the outcome if nothing fails.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.steps.is_empty() && !self.is_incomplete() { Outcome::Converged } else { Outcome::Planned }
    }
}

/// An environment that the plan leaves as it is, although it was not found to match the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchanged {
    /// The environment.
    pub environment: String,
    /// The cause of leaving it.
    pub why: Stays,
    /// The live release, if it is the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// Cause of leaving an environment as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stays {
    /// Somebody rolled it back to its live release.
    RolledBack,
    /// The release to go back to is already live.
    AlreadyLive,
    /// It must be destroyed and is not on its host.
    Absent,
    /// It must be destroyed, and only data that an earlier removal kept is on its host.
    DataKept,
    /// Its images could not be compared with their registry.
    ImagesUnknown,
}

/// Drift of one kind that the plan does not correct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The environment.
    pub environment: String,
    /// The kind.
    pub kind: Kind,
    /// The cause of leaving it.
    pub why: Why,
    /// Additional reason, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The differences, fact by fact.
    pub changes: Vec<Change>,
}

/// Cause of leaving drift uncorrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The manifest's policy is `detect`.
    Detect,
    /// The manifest ignores the fact.
    Ignored,
    /// Watch corrected the fact repeatedly and gave up.
    Quarantined,
}

/// Numbers of steps by action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of resources to create.
    pub create: usize,
    /// Number of resources to update.
    pub update: usize,
    /// Number of resources to replace.
    pub replace: usize,
    /// Number of resources to remove.
    pub remove: usize,
}

/// Action of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Create what is missing.
    Create,
    /// Change what differs.
    Update,
    /// Remove and create again.
    Replace,
    /// Remove.
    Remove,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The environment.
    pub environment: String,
    /// The kind.
    pub kind: Kind,
    /// The action of the step.
    pub action: Action,
    /// The reason why the step is in the plan.
    pub reason: StepReason,
    /// True if the step removes something that cannot be restored.
    pub destructive: bool,
    /// The changes, fact by fact.
    pub changes: Vec<Change>,
}

/// One fact that a step changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The fact's name (`app/motd`, `docker`, `web`).
    pub fact: String,
    /// Observed value; `None` if there is none.
    pub from: Option<String>,
    /// Desired value; `None` if the fact is removed.
    pub to: Option<String>,
    /// Unified diff of a text file's content, if it may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// A remark for the reader (`restarts web`, `secret, changed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Stays {
    /// Every cause.
    pub const ALL: [Self; 5] = [Self::RolledBack, Self::AlreadyLive, Self::Absent, Self::DataKept, Self::ImagesUnknown];
}

impl Why {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Detect, Self::Ignored, Self::Quarantined];
}
