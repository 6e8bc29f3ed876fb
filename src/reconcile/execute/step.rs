//! A step with all that its execution needs: the executor obeys the step and makes no choice.

use crate::model::event::PlannedStep;
use crate::model::state::Kind;
use crate::reconcile::machine::Machine;
use crate::reconcile::session::Session;
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
}

impl Step {
    /// Returns the step that makes a difference of a session's environment disappear.
    #[must_use]
    pub fn of_difference(shown: PlannedStep, session: &Session) -> Self {
        let machine = session.machine.as_ref().filter(|_| shown.kind == Kind::Infrastructure);
        let work = machine.map_or(Work::Converge, |machine| Work::Provision(Arc::clone(machine)));
        Self { shown, work }
    }
}

impl Borrow<PlannedStep> for Step {
    fn borrow(&self) -> &PlannedStep {
        &self.shown
    }
}
