//! A plan, as people and pipelines see it. Never holds a secret.

use super::Outcome;
use crate::model::failure::Location;
use crate::model::state::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A plan, as people and pipelines see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The project.
    pub project: String,
    /// How many steps do what.
    pub summary: Summary,
    /// The steps in the order they would be executed.
    pub steps: Vec<PlannedStep>,
    /// Which step needs which: pairs of indices into `steps`, the one that comes first first. What follows from others
    /// is left out.
    pub edges: Vec<(usize, usize)>,
    /// Age of the observation it rests on, in seconds; `None` where the hosts were just asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_seconds_ago: Option<u64>,
    /// The Git ref it compares with; `None` where it compares with hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Environments that already are as wanted.
    pub converged: Vec<String>,
    /// Files that could not be compared, by their environments: whether those are as wanted is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uncompared: BTreeMap<String, Vec<String>>,
    /// Environments that could not be planned; what failed was said.
    #[serde(skip)]
    pub unplanned: Vec<String>,
    /// Where the environments stand in the manifest, for annotations.
    #[serde(skip)]
    pub places: BTreeMap<String, Location>,
    /// Drift that is left as it is.
    #[serde(default)]
    pub left: Vec<Left>,
}

impl PlanView {
    /// Says whether there may be changes that it does not show.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !(self.unplanned.is_empty() && self.uncompared.is_empty())
    }

    /// How it ends where nothing failed.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.steps.is_empty() && !self.is_incomplete() { Outcome::Converged } else { Outcome::Planned }
    }
}

/// Differences of one kind that nobody asked for and that are left as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The environment.
    pub environment: String,
    /// The kind.
    pub kind: Kind,
    /// Who left it.
    pub why: Why,
    /// Their reason, where there is one beyond that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Fact by fact.
    pub changes: Vec<Change>,
}

/// Who leaves drift as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The manifest's policy is to detect.
    Detect,
    /// The manifest ignores the fact.
    Ignored,
    /// Watch corrected the fact again and again.
    Quarantined,
}

/// Steps counted by action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Things that do not exist yet.
    pub create: usize,
    /// Things that differ.
    pub update: usize,
    /// Things that are made anew.
    pub replace: usize,
    /// Things that go.
    pub remove: usize,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Make what is missing.
    Create,
    /// Change what differs.
    Update,
    /// Remove and make anew.
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
    /// What it does.
    pub action: Action,
    /// Why: `missing`, `differs`, `drifted`, `follows files`, `unverified`, `forced`.
    pub reason: String,
    /// Whether it removes something that cannot be brought back.
    pub destructive: bool,
    /// Fact by fact.
    pub changes: Vec<Change>,
}

/// One fact that a step changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The fact's name (`app/motd`, `docker`, `web`).
    pub fact: String,
    /// Its observed value; `None` where there is none.
    pub from: Option<String>,
    /// Its desired value; `None` where it goes.
    pub to: Option<String>,
    /// Unified diff of a text file's content, where it may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// A remark for the reader (`restarts web`, `secret, changed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Why {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Detect, Self::Ignored, Self::Quarantined];
}
