//! Everything the engine and the commands say, as data. Nothing here is worded for a screen, and
//! nothing here ever holds a secret.

use crate::failure::{Failure, Location};
use crate::state::{Kind, Stage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing that happened or is so.
#[derive(Clone, Debug)]
pub enum Event {
    /// Work on an environment that has no step of its own: connecting, waiting, observing.
    Progress {
        /// The environment.
        environment: String,
        /// What is going on, in a few words.
        activity: String,
    },
    /// The whole plan.
    Plan(PlanView),
    /// A step began or ended.
    Step(StepView),
    /// One environment as it stands.
    Environment(Box<EnvironmentView>),
    /// One check of `deployer test`.
    Check(CheckView),
    /// One run of the past.
    Run(RunView),
    /// One release that a host keeps.
    Release(ReleaseView),
    /// Something that failed. Does not end the run by itself.
    Failure(Failure),
    /// Something worth knowing that changes no outcome.
    Warning {
        /// The environment, if one.
        environment: Option<String>,
        /// What.
        message: String,
    },
    /// The output a command was asked for (a schema, a rendered file, a log line), as it stands.
    Output(String),
    /// A line for people about what was done (an entry written, an environment resumed).
    Note(String),
    /// Something that happened to a watch.
    Watch(WatchView),
    /// The end of the run. Always the last event.
    Result(ResultView),
}

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
    /// Where the environments stand in the manifest, for annotations.
    #[serde(skip)]
    pub places: BTreeMap<String, Location>,
    /// Drift that is left as it is.
    #[serde(default)]
    pub left: Vec<Left>,
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

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It began.
    Started,
    /// It changed something and the host then was as desired.
    Applied,
    /// Nothing was to do.
    Skipped,
    /// It failed.
    Failed,
    /// It could not begin, since what it needs failed.
    Blocked,
}

impl Why {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Detect, Self::Ignored, Self::Quarantined];
}

/// A step began or ended.
#[derive(Clone, Debug, Serialize)]
pub struct StepView {
    /// The environment.
    pub environment: String,
    /// The kind.
    pub kind: Kind,
    /// Where it is.
    pub state: StepState,
    /// How long it took, at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

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
    /// Service → its state on the host.
    pub services: BTreeMap<String, String>,
    /// Why it could not be observed now, if it could not.
    pub unreachable: Option<String>,
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

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing was to do.
    Converged,
    /// Something was changed and all is as wanted.
    Changed,
    /// A plan was made and holds steps.
    Planned,
    /// The command did what it says.
    Ok,
    /// It failed.
    Failed,
    /// Some environments failed, others did not.
    Partial,
    /// It was refused before anything changed.
    Refused,
    /// A saved plan was not applied: what it rests on moved.
    Stale,
    /// No host could be reached.
    Unreachable,
    /// The command line or the manifest is wrong.
    Invalid,
    /// Another run works on what it was to work on.
    Busy,
    /// It failed, and what was there before came back.
    RolledBack,
    /// A signal ended it.
    Interrupted,
}

impl Outcome {
    /// Every outcome, in the order of the schema.
    pub const ALL: [Self; 13] = [
        Self::Converged,
        Self::Changed,
        Self::Planned,
        Self::Ok,
        Self::Failed,
        Self::Partial,
        Self::Refused,
        Self::Stale,
        Self::Unreachable,
        Self::Invalid,
        Self::Busy,
        Self::RolledBack,
        Self::Interrupted,
    ];

    /// Its name in events and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Changed => "changed",
            Self::Planned => "planned",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
            Self::RolledBack => "rolled-back",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The end of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ResultView {
    /// The command.
    pub command: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The process's exit code.
    pub exit_code: u8,
}

/// Where events go. Called from many tasks at once.
pub type Sink = std::sync::Arc<dyn Fn(Event) + Send + Sync>;
