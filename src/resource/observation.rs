//! An observation of one environment: what its host answered, what others answered, and the states that follow.

use super::images::registry::Answer;
use super::{HostFacts, Subject, desired, infrastructure, observed};
use crate::model::state::{Facts, Kind, State};
use std::collections::BTreeMap;

/// Answers about an environment that its host did not give.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The machine as OpenTofu sees it, if deployer provisions it.
    pub machine: infrastructure::Seen,
    /// Image name → the registry's answer, for the images that were asked about in this run.
    pub registry: BTreeMap<String, Answer>,
    /// Name → result of each check that the runner made.
    pub checks: BTreeMap<String, String>,
}

/// Facts with the observed and the desired state that are derived from them, once per look. The facts change only
/// together with the states.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    facts: HostFacts,
    observed: State,
    desired: State,
}

static NONE: Facts = Facts::new();

impl Observation {
    /// Compares facts with what is wanted of the subject.
    #[must_use]
    pub fn of(subject: &Subject<'_>, facts: HostFacts) -> Self {
        let (observed, desired) = (observed(subject, &facts), desired(subject, &facts));
        Self { facts, observed, desired }
    }

    /// Returns the facts.
    #[must_use]
    pub const fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// Returns the facts without the states.
    #[must_use]
    pub fn into_facts(self) -> HostFacts {
        self.facts
    }

    /// Returns the observed state.
    #[must_use]
    pub const fn observed(&self) -> &State {
        &self.observed
    }

    /// Returns the desired state.
    #[must_use]
    pub const fn desired(&self) -> &State {
        &self.desired
    }

    /// Returns the observed and the desired facts of one kind.
    #[must_use]
    pub fn both(&self, kind: Kind) -> (&Facts, &Facts) {
        let [observed, desired] = [&self.observed, &self.desired].map(|state| state.0.get(&kind).unwrap_or(&NONE));
        (observed, desired)
    }

    /// Returns true if one kind is as desired.
    #[must_use]
    pub fn matches(&self, kind: Kind) -> bool {
        let (observed, desired) = self.both(kind);
        observed == desired
    }
}
