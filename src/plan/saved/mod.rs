//! Saved plans: a plan as a file, bound to its inputs and facts, and to the steps, changes and diffs that it shows. A
//! saved plan is applied only if a plan made at apply time shows the same. A forged plan therefore does only what its
//! reader agreed to, and the seals of the file expose the forgery. A saved plan holds no secret: values that are
//! compared later are stored as digests made with a key of the host.

mod file;
mod inputs;
mod steps;

pub use file::{FORMAT, LIMIT, SavedFile, Seal};
pub use inputs::settings;

use crate::model::event::{PlanView, PlannedStep};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Facts, Kind, State};
use crate::resource::services::{self, Fact};
use crate::resource::{Observation, Subject, files};
use camino::Utf8Path;
use inputs::{inputs, other_inputs};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use steps::other_steps;

/// Number of changed items in the message. If there are more, the message counts them and the details list all.
const NAMED: usize = 6;

/// A plan and the state that it is based on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// Time at which the plan was made.
    pub made_at: Timestamp,
    /// Author of the plan, `user@machine`.
    pub by: String,
    /// True if the user named the environments, so that suspended ones are included.
    pub named: bool,
    /// Inputs and facts that each environment's plan is based on.
    pub environments: BTreeMap<String, Bound>,
    /// The plan itself.
    pub plan: PlanView,
}

/// Inputs and facts that the plan of one environment is based on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Fingerprint of the digest key. Each host gets a different key when it is claimed.
    pub key: String,
    /// Every input → its digest, made with the host's key.
    pub inputs: BTreeMap<String, String>,
    /// Serial of the host.
    pub serial: u64,
    /// Observed facts of the kinds that are planned.
    pub facts: State,
}

impl SavedPlan {
    /// Returns the text of a file with this plan, without seals.
    #[must_use]
    pub fn text(&self) -> String {
        SavedFile::seal(self.clone(), &BTreeMap::new()).text()
    }

    /// Parses the plan in a file's text without checking seals.
    pub fn parse(text: &str, path: &Utf8Path) -> Result<Self, Failure> {
        SavedFile::parse(text, path).map(|file| file.plan)
    }

    /// Returns the environments to read again: those with steps, or all if there are no steps.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.plan.steps.iter().map(|step| &step.environment).collect();
        let all = || self.environments.keys().collect();
        let names: BTreeSet<&String> = if names.is_empty() { all() } else { names };
        names.into_iter().cloned().collect()
    }

    /// Returns true if a step of that kind is planned.
    fn plans(&self, environment: &str, kind: Kind) -> bool {
        self.plan.steps.iter().any(|step| step.environment == environment && step.kind == kind)
    }

    /// Returns the current inputs and facts of one environment, limited to those that this plan relies on. `entry` is
    /// its entry in the manifest, with the defaults.
    #[must_use]
    pub fn bind(&self, subject: &Subject<'_>, entry: &Value, seen: &Observation, directory: &Utf8Path) -> Bound {
        let (host, mut facts) = (seen.facts(), seen.observed().clone());
        facts.0.retain(|kind, _| self.plans(subject.environment.name.as_str(), *kind));
        let key = files::key(subject, host).digest(blake3::hash(b"key").as_bytes());
        Bound { key, inputs: inputs(subject, entry, seen, directory), serial: host.access.serial, facts }
    }

    /// Returns everything that changed for one environment since the plan was made, as phrases. `steps` are the steps
    /// that the environment needs now, with the changes that they show. If `strict`, a different reason for a step
    /// counts too.
    #[must_use]
    pub fn moved(&self, environment: &str, now: &Bound, steps: &[PlannedStep], strict: bool) -> Vec<String> {
        let other_steps = || other_steps(environment, &self.plan.steps, steps, &unwell, strict);
        // For an environment that the plan does not bind, the plan relies only on the absence of steps.
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

/// Returns the failure that names the changed items.
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
                && Fact::of(&change.fact) != Fact::Release
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

/// Returns true if a fact of the services describes an unhealthy service or check. Such values change by themselves.
fn unwell(fact: &str, value: &str) -> bool {
    Fact::of(fact) != Fact::Release && !services::is_well(fact, value)
}

#[cfg(test)]
mod tests;
