//! Everything the engine and the commands say, as data. Nothing here is worded for a screen, and
//! nothing here ever holds a secret.

mod outcome;
mod past;
mod plan;
mod standing;
mod step;
mod verdict;
mod watch;

pub use outcome::{Outcome, ResultView};
pub use past::{FailedStep, ReleaseView, RunView};
pub use plan::{Action, Change, Left, PlanView, PlannedStep, Summary, Why};
pub use standing::{ArchiveView, BackupView, CheckView, EnvironmentView, FailedView, Health};
pub use step::{StepState, StepView};
pub use verdict::VerdictView;
pub use watch::{Happening, WatchView};

use crate::model::failure::Failure;
use crate::model::state::Kind;

/// One thing that happened or is so.
#[derive(Clone, Debug)]
pub enum Event {
    /// Work on an environment: within a step, or without one, as connecting, waiting and observing are.
    Progress {
        /// The environment.
        environment: String,
        /// The kind of the step.
        kind: Option<Kind>,
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
    /// One check of a tracker stack, of `deployer test`.
    Verdict(VerdictView),
    /// One run of the past.
    Run(RunView),
    /// One release that a host keeps.
    Release(ReleaseView),
    /// One archive of an environment's data.
    Archive(ArchiveView),
    /// Something that failed. Does not end the run by itself.
    Failure(Failure),
    /// Something worth knowing that changes no outcome.
    Warning {
        /// The environment, if one.
        environment: Option<String>,
        /// What.
        message: String,
    },
    /// The document a command was asked for (a schema, an inventory, a graph). Its form escapes what it holds.
    Output(String),
    /// Output of a service or a program on a host, in whole lines.
    Said {
        /// One or more lines, each with its line break.
        text: String,
        /// True for standard error.
        error: bool,
    },
    /// A line for people about what was done (an entry written, an environment resumed).
    Note(String),
    /// Something that happened to a watch.
    Watch(WatchView),
    /// The end of the run. Always the last event.
    Result(ResultView),
}

/// Where events go. Called from many tasks at once.
pub type Sink = std::sync::Arc<dyn Fn(Event) + Send + Sync>;
