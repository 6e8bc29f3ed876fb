//! Compares observed facts with desired facts and returns the steps with their reasons. Pure. Knows only the kinds that
//! its caller passes.

use crate::model::event::{Action, Change, PlannedStep, StepReason};
use crate::model::state::{Facts, Kind, State};
use std::collections::{BTreeMap, BTreeSet};

/// Function that returns the kind that a kind follows, given the kinds that change.
pub type Follows<'a> = &'a dyn Fn(Kind, &BTreeMap<Kind, BTreeSet<String>>) -> Option<Kind>;

/// Returns the steps that bring `observed` to `desired` for the given kinds, in lifecycle order. `drifted` returns true
/// if nobody asked for a kind's difference.
#[must_use]
pub fn diff(
    environment: &str,
    kinds: &[Kind],
    observed: &State,
    desired: &State,
    drifted: &dyn Fn(Kind) -> bool,
    follows: Follows<'_>,
) -> Vec<PlannedStep> {
    let none = Facts::new();
    let mut changed = BTreeMap::new();
    let mut steps = Vec::new();
    for kind in kinds {
        let (from, to) = (observed.0.get(kind).unwrap_or(&none), desired.0.get(kind).unwrap_or(&none));
        let differences = changes(from, to);
        let (action, reason) = if differences.is_empty() {
            let Some(leader) = follows(*kind, &changed) else { continue };
            (Action::Update, StepReason::Follows(leader))
        } else if from.is_empty() {
            (Action::Create, StepReason::Missing)
        } else {
            let removed = differences.iter().all(|change| change.to.is_none());
            let reason = if drifted(*kind) { StepReason::Drifted } else { StepReason::Differs };
            (if removed { Action::Remove } else { Action::Update }, reason)
        };
        changed.insert(*kind, differences.iter().map(|change| change.fact.clone()).collect());
        steps.push(PlannedStep {
            environment: environment.to_owned(),
            kind: *kind,
            action,
            reason,
            destructive: false,
            changes: differences,
        });
    }
    steps
}

/// Returns the facts that differ, sorted by name.
#[must_use]
pub fn changes(observed: &Facts, desired: &Facts) -> Vec<Change> {
    let names: BTreeSet<&String> = observed.keys().chain(desired.keys()).collect();
    let change = |name: &String| {
        let (from, to) = (observed.get(name).cloned(), desired.get(name).cloned());
        (from != to).then(|| Change { fact: name.clone(), from, to, diff: None, note: None })
    };
    let mut changes: Vec<Change> = names.into_iter().filter_map(change).collect();
    // Most steps have one change, and a plan may have a hundred thousand steps.
    changes.shrink_to_fit();
    changes
}
