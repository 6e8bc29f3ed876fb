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
    /// Environments that already match the manifest.
    pub converged: Vec<String>,
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

impl Why {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Detect, Self::Ignored, Self::Quarantined];
}
