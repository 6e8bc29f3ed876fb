//! Saved plans: a plan as a file, bound to the inputs and the facts it was made from, and to the steps, changes and
//! diffs that it shows. A saved plan is applied only if the plan made at that time shows the same, so that a forged one
//! does nothing but what its reader would have agreed to; the seals of its file tell a forged one as such. A saved plan
//! holds no secret: what is compared later is kept as digests made with a key of the host.

mod file;
mod inputs;
mod steps;

pub use file::{FORMAT, LIMIT, SavedFile, Seal};
pub use inputs::settings;

use crate::model::event::{PlanView, PlannedStep};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Facts, Kind, State};
use crate::reconcile::prepare::Prepared;
use crate::resource::compose::container;
use crate::resource::{self, HostFacts, files, services};
use camino::Utf8Path;
use inputs::{inputs, other_inputs};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use steps::other_steps;

/// More things that moved than this are counted in the message and listed below it.
const NAMED: usize = 6;

/// A plan and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// When it was made.
    pub made_at: Timestamp,
    /// Who made it: `user@machine`.
    pub by: String,
    /// Whether its environments were named, so that suspended ones are worked on.
    pub named: bool,
    /// What each environment rests on.
    pub environments: BTreeMap<String, Bound>,
    /// The plan itself.
    pub plan: PlanView,
}

/// What the plan of one environment rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Tells the key of the digests from others: a host gets its own when it is claimed.
    pub key: String,
    /// Every input → its digest, made with the host's key.
    pub inputs: BTreeMap<String, String>,
    /// The host's serial.
    pub serial: u64,
    /// The observed facts of the kinds that are planned.
    pub facts: State,
}

impl SavedPlan {
    /// The text of a file with this plan, without seals.
    #[must_use]
    pub fn text(&self) -> String {
        SavedFile::seal(self.clone(), &BTreeMap::new()).text()
    }

    /// Reads the plan in a file's text, whatever its seals.
    pub fn parse(text: &str, path: &Utf8Path) -> Result<Self, Failure> {
        SavedFile::parse(text, path).map(|file| file.plan)
    }

    /// The environments to look at again: those with steps, or all where there is none.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.plan.steps.iter().map(|step| &step.environment).collect();
        let all = || self.environments.keys().collect();
        let names: BTreeSet<&String> = if names.is_empty() { all() } else { names };
        names.into_iter().cloned().collect()
    }

    /// Whether a step of that kind is planned.
    fn plans(&self, environment: &str, kind: Kind) -> bool {
        self.plan.steps.iter().any(|step| step.environment == environment && step.kind == kind)
    }

    /// What one environment rests on now, as far as this plan relies on it.
    #[must_use]
    pub fn bind(&self, prepared: &Prepared, facts: &HostFacts, directory: &Utf8Path) -> Bound {
        let mut seen = resource::observed(&prepared.subject(), facts);
        seen.0.retain(|kind, _| self.plans(prepared.name(), *kind));
        let subject = prepared.subject();
        let key = files::key(&subject, facts).digest(blake3::hash(b"key").as_bytes());
        Bound { key, inputs: inputs(prepared, facts, directory), serial: facts.access.serial, facts: seen }
    }

    /// Everything that moved under one environment since the plan was made, as phrases. `steps` are those that the
    /// environment needs now, with what is shown of them; where `strict`, also why they are needed.
    #[must_use]
    pub fn moved(&self, environment: &str, now: &Bound, steps: &[PlannedStep], strict: bool) -> Vec<String> {
        let other_steps = || other_steps(environment, &self.plan.steps, steps, &unwell, strict);
        // What the plan left alone is relied on as far as it needs no step.
        let Some(then) = self.environments.get(environment) else { return other_steps() };
        let mut moved = Vec::new();
        if self.names().iter().any(|name| name == environment) {
            if then.key == now.key {
                moved.extend(other_inputs(&then.inputs, &now.inputs));
            } else if then.serial == now.serial {
                moved.push("the host has another digest key".to_owned());
            }
            if then.serial != now.serial {
                moved.push(format!("the host's serial went from {} to {}", then.serial, now.serial));
            }
            let kinds: BTreeSet<&Kind> = then.facts.0.keys().chain(now.facts.0.keys()).collect();
            let of = |bound: &Bound, kind: &Kind| bound.facts.0.get(kind).cloned().unwrap_or_default();
            for kind in kinds {
                moved.extend(other_facts(*kind, &of(then, kind), &of(now, kind)));
            }
        }
        if moved.is_empty() {
            moved = other_steps();
        }
        moved
    }
}

/// The failure that names what moved.
#[must_use]
pub fn stale(environment: &str, moved: &[String]) -> Failure {
    let mut named: Vec<String> = moved.iter().take(NAMED).cloned().collect();
    if moved.len() > NAMED {
        named.push(format!("and {} more", moved.len() - NAMED));
    }
    let named = named.join("; ");
    let all = if moved.len() > NAMED { moved.join("\n") } else { String::new() };
    Failure::new(Reason::PlanStale, format!("The saved plan is stale: {named}")).on(environment).details(all)
}

fn other_facts(kind: Kind, then: &Facts, now: &Facts) -> Vec<String> {
    let changes = crate::model::diff::changes(then, now).into_iter();
    let same = |change: &crate::model::event::Change| match (&change.from, &change.to) {
        (Some(from), Some(to)) => {
            kind == Kind::Services
                && change.fact != services::RELEASE
                && unwell(&change.fact, from) == unwell(&change.fact, to)
        }
        _ => false,
    };
    let word = |value: Option<String>| value.unwrap_or_else(|| "absent".to_owned());
    changes
        .filter(|change| !same(change))
        .map(|change| {
            let what = if kind == Kind::Files { change.fact } else { format!("{kind} {}", change.fact) };
            format!("{what} on the host went from {} to {}", word(change.from), word(change.to))
        })
        .collect()
}

/// Says whether a fact of the services is about one that is unwell, in a way that changes by itself.
fn unwell(fact: &str, value: &str) -> bool {
    match fact {
        services::RELEASE => false,
        check if check.starts_with("check ") => value != crate::resource::compose::check::PASSES,
        _ => !container::good(value),
    }
}

#[cfg(test)]
mod tests;
