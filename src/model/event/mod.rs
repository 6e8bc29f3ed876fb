//! Events: everything that the engine and the commands report, as data. Events are not worded for a screen and hold no
//! secret.

mod json;
mod outcome;
mod past;
mod plan;
mod reason;
mod standing;
mod step;
mod verdict;
mod watch;

pub use json::line;
pub(crate) use json::{Object, write};
pub use outcome::{Outcome, ResultView};
pub use past::{FailedStep, ReleaseView, RunView};
pub use plan::{Action, Change, Left, PlanView, PlannedStep, Stays, Summary, Unchanged, Why};
pub use reason::StepReason;
pub use standing::{ArchiveView, BackupView, CheckView, EnvironmentView, FailedView, Health};
pub use step::{StepState, StepView};
pub use verdict::VerdictView;
pub use watch::{Happening, WatchView};

use crate::model::failure::Failure;
use crate::model::state::Kind;

/// Something that happened, or a current state.
#[derive(Clone, Debug)]
pub enum Event {
    /// Work on an environment, within a step or outside steps (connecting, waiting, observing).
    Progress {
        /// The environment.
        environment: String,
        /// The kind of the step; `None` outside steps.
        kind: Option<Kind>,
        /// The current activity, in a few words.
        activity: String,
    },
    /// The whole plan.
    Plan(PlanView),
    /// The begin or end of a step.
    Step(StepView),
    /// The state of one environment.
    Environment(Box<EnvironmentView>),
    /// One check of `deployer test`.
    Check(CheckView),
    /// One check of a tracker stack, from `deployer test`.
    Verdict(VerdictView),
    /// One past run.
    Run(RunView),
    /// One release that a host keeps.
    Release(ReleaseView),
    /// One archive of an environment's data.
    Archive(ArchiveView),
    /// A failure. A failure alone does not end the run.
    Failure(Failure),
    /// Something worth knowing that does not change the outcome.
    Warning {
        /// The environment, if there is one.
        environment: Option<String>,
        /// The message.
        message: String,
    },
    /// The document that a command was asked for (a schema, an inventory, a graph). The document's format escapes the
    /// content.
    Output(String),
    /// Output of a service or a program on a host, in whole lines.
    Said {
        /// One or more lines, each with its line break.
        text: String,
        /// True for standard error.
        error: bool,
    },
    /// A line for people about what was done (for example: an entry was written, an environment was resumed).
    Note(String),
    /// Something that happened to a watch.
    Watch(WatchView),
    /// The end of the run, always the last event.
    Result(ResultView),
}

/// Receiver of events. Many tasks call it concurrently.
pub type Sink = std::sync::Arc<dyn Fn(Event) + Send + Sync>;
