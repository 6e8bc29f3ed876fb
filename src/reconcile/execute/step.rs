//! A step with all that its execution needs: the executor obeys the step and makes no choice.

use crate::model::event::{Action, PlannedStep, StepReason};
use crate::model::state::Kind;
use crate::reconcile::machine::Machine;
use crate::reconcile::session::Session;
use crate::resource::backups::Chosen;
use crate::resource::contract::record::ReleaseRecord;
use std::borrow::Borrow;
use std::sync::Arc;

/// A step of a plan that is executed.
#[derive(Clone)]
pub struct Step {
    /// The step as people see it.
    pub shown: PlannedStep,
    /// The work of the step.
    pub work: Work,
}

/// The work of a step.
#[derive(Clone)]
pub enum Work {
    /// Bring the kind to its desired facts.
    Converge,
    /// Apply OpenTofu's plan for the machine, whose changes the step shows.
    Provision(Arc<Machine>),
    /// Remove the kind from the host.
    Remove {
        /// True if the environment's data is deleted too.
        purge: bool,
    },
    /// Go back to this release.
    GoBack(Box<ReleaseRecord>),
    /// Restart this service, or all if it is `None`.
    Restart(Option<String>),
    /// Restore the data.
    Restore {
        /// The archive.
        archive: Box<Chosen>,
        /// True if the current data is not backed up first.
        without_backup: bool,
    },
}

impl Step {
    /// Returns the step that makes a difference of a session's environment disappear.
    #[must_use]
    pub fn of_difference(shown: PlannedStep, session: &Session) -> Self {
        let machine = session.machine.as_ref().filter(|_| shown.kind == Kind::Infrastructure);
        let work = machine.map_or(Work::Converge, |machine| Work::Provision(Arc::clone(machine)));
        Self { shown, work }
    }

    /// Returns the step of work on an environment's services that a user asked for by name.
    pub(super) fn by_hand(name: &str, work: Work) -> Self {
        let (environment, kind, reason) = (name.to_owned(), Kind::Services, StepReason::Requested);
        let shown =
            PlannedStep { environment, kind, action: Action::Update, reason, destructive: false, changes: Vec::new() };
        Self { shown, work }
    }
}

impl Borrow<PlannedStep> for Step {
    fn borrow(&self) -> &PlannedStep {
        &self.shown
    }
}
