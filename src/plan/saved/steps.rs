//! Compares the steps of a saved plan with the steps that are needed now, step by step and change by change. The plan
//! is stale if the steps to execute differ from the steps shown.

use crate::model::event::{Change, PlannedStep};
use crate::model::state::Kind;
use crate::resource::services::Fact;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the differences between the steps of one environment, as phrases. Runners remember different things, so that
/// the reasons for a step may differ between them. A different reason counts only if `strict`.
pub(super) fn other_steps(
    environment: &str,
    then: &[PlannedStep],
    now: &[PlannedStep],
    unwell: &dyn Fn(&str, &str) -> bool,
    strict: bool,
) -> Vec<String> {
    let own = |all: &'_ [PlannedStep]| -> BTreeMap<Kind, PlannedStep> {
        all.iter().filter(|step| step.environment == environment).map(|step| (step.kind, step.clone())).collect()
    };
    let (then_all, now_all) = (own(then), own(now));
    let kinds: BTreeSet<&Kind> = then_all.keys().chain(now_all.keys()).collect();
    let phrase = |kind: &&Kind| match (then_all.get(kind), now_all.get(kind)) {
        (None, Some(_)) => Some(format!("a step for {kind} is needed that is not in the plan")),
        (Some(_), None) => Some(format!("the step for {kind} is no longer needed")),
        (Some(then), Some(now)) => other_step(then, now, unwell, strict),
        (None, None) => None,
    };
    let mut differing: Vec<String> = kinds.iter().filter_map(phrase).collect();
    let count = |all: &[PlannedStep]| all.iter().filter(|step| step.environment == environment).count();
    if differing.is_empty() && count(then) != count(now) {
        differing.push("the plan contains a step twice".to_owned());
    }
    differing
}

fn other_step(
    then: &PlannedStep,
    now: &PlannedStep,
    unwell: &dyn Fn(&str, &str) -> bool,
    strict: bool,
) -> Option<String> {
    let kind = then.kind;
    let does = |step: &PlannedStep| (step.action, step.destructive);
    if does(then) != does(now) || (strict && then.reason != now.reason) {
        return Some(format!("the step for {kind} would do something else"));
    }
    let same = |then: &Change, now: &Change| {
        let from = match (&then.from, &now.from) {
            (Some(then_from), Some(now_from)) if kind == Kind::Services && Fact::of(&then.fact) != Fact::Release => {
                then_from == now_from || (unwell(&then.fact, then_from) && unwell(&now.fact, now_from))
            }
            (then, now) => then == now,
        };
        from && (&then.fact, &then.to, &then.diff, &then.note) == (&now.fact, &now.to, &now.diff, &now.note)
    };
    let pairs = then.changes.iter().zip(&now.changes);
    let other = pairs.filter(|(then, now)| !same(then, now)).map(|(_, now)| now.fact.clone()).next();
    let longer = || (then.changes.len() != now.changes.len()).then(|| "other things".to_owned());
    other
        .or_else(longer)
        .map(|what| format!("the step for {kind} would change {what} in a different way than the plan shows"))
}
