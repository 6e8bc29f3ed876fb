//! Saved plans: a plan as a file, bound to the inputs and the facts it was made from. Never holds a secret: what is
//! compared later is kept as digests made with a key of the host.

mod inputs;

pub use inputs::settings;

use crate::event::{PlanView, PlannedStep};
use crate::failure::{Failure, Reason};
use crate::prepare::Prepared;
use crate::state::{Facts, Kind, State};
use crate::step::{self, HostFacts, container, files, services};
use camino::Utf8Path;
use inputs::{inputs, other_inputs};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The format of the file. Raise it when an older deployer would misread a plan.
pub const FORMAT: u64 = 1;

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
    /// The file's text. The digest over its body tells a damaged file from a whole one.
    #[must_use]
    pub fn text(&self) -> String {
        let body = serde_json::to_value(self).unwrap_or_default();
        let file = serde_json::json!({
            "format": FORMAT,
            "deployer": env!("CARGO_PKG_VERSION"),
            "digest": digest(&body),
            "body": body,
        });
        format!("{file:#}\n")
    }

    /// Reads a file's text.
    pub fn parse(text: &str, path: &Utf8Path) -> Result<Self, Failure> {
        let invalid = |message: String| Failure::new(Reason::PlanInvalid, message);
        let damaged = |why: &str| invalid(format!("{path} is not a whole saved plan: {why}"));
        let file: Value = serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
        match file["format"].as_u64() {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => {
                let message = format!("{path} was saved by a newer deployer (format {newer}; this one reads {FORMAT})");
                return Err(invalid(message).hint("Use that version, or make the plan anew"));
            }
            _ => return Err(damaged("it names no format")),
        }
        if file["digest"].as_str() != Some(&digest(&file["body"])) {
            return Err(damaged("its digest does not match its content"));
        }
        serde_json::from_value(file["body"].clone()).map_err(|error| damaged(&error.to_string()))
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
        let mut seen = step::observed(&prepared.subject(), facts);
        seen.0.retain(|kind, _| self.plans(prepared.name(), *kind));
        let subject = prepared.subject();
        let key = files::key(&subject, facts).digest(blake3::hash(b"key").as_bytes());
        Bound { key, inputs: inputs(prepared, facts, directory), serial: facts.access.serial, facts: seen }
    }

    /// Everything that moved under one environment since the plan was made, as phrases. `steps` are those that the
    /// environment needs now.
    #[must_use]
    pub fn moved(&self, environment: &str, now: &Bound, steps: &[PlannedStep]) -> Vec<String> {
        // What the plan left alone is relied on as far as it needs no step.
        let Some(then) = self.environments.get(environment) else { return self.other_steps(environment, steps) };
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
            moved = self.other_steps(environment, steps);
        }
        moved
    }

    fn other_steps(&self, environment: &str, steps: &[PlannedStep]) -> Vec<String> {
        let own = |all: &[PlannedStep]| -> BTreeMap<Kind, String> {
            let own = all.iter().filter(|step| step.environment == environment);
            own.map(|step| (step.kind, format!("{:?} {}", step.action, step.destructive))).collect()
        };
        let (then, now) = (own(&self.plan.steps), own(steps));
        let kinds: BTreeSet<&Kind> = then.keys().chain(now.keys()).collect();
        let phrase = |kind: &&Kind| match (then.get(kind), now.get(kind)) {
            (None, Some(_)) => Some(format!("a step for {kind} is needed that the plan does not hold")),
            (Some(_), None) => Some(format!("the step for {kind} is not needed any more")),
            (then, now) => (then != now).then(|| format!("the step for {kind} would do something else")),
        };
        kinds.iter().filter_map(phrase).collect()
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
    let changes = crate::diff::changes(then, now).into_iter();
    // Which way something is unwell changes by itself.
    let unwell = |fact: &str, value: &str| match fact {
        services::RELEASE => false,
        check if check.starts_with("check ") => value != crate::check::PASSES,
        _ => !container::good(value),
    };
    let same = |change: &crate::event::Change| match (&change.from, &change.to) {
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

fn digest(body: &Value) -> String {
    blake3::hash(body.to_string().as_bytes()).to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests;
