//! Saved plans: a plan as a file, bound to the inputs and the facts it was made from. Never holds a secret: what is
//! compared later is kept as digests made with a key of the host.

use crate::event::{PlanView, PlannedStep};
use crate::failure::{Failure, Reason};
use crate::manifest;
use crate::prepare::Prepared;
use crate::state::{Facts, Kind, State};
use crate::step::{self, HostFacts, container, files, services};
use camino::Utf8Path;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The format of the file. Raise it when an older deployer would misread a plan.
pub const FORMAT: u64 = 1;

/// More things that moved than this are counted in the message and listed below it.
const NAMED: usize = 6;

/// Settings that say where things lie on this machine: what lies there is bound by its content.
const PLACES: [&str; 6] = [
    "ssh.identity",
    "ssh.identity_file",
    "application.compose.directory",
    "application.compose.files",
    "application.compose.archives",
    "application.compose.variables",
];

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
        kinds.iter().filter_map(|kind| phrase(kind)).collect()
    }
}

/// The failure that names what moved.
#[must_use]
pub fn stale(environment: &str, moved: &[String]) -> Failure {
    let mut named = moved.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if moved.len() > NAMED {
        named += &format!("; and {} more", moved.len() - NAMED);
    }
    let all = if moved.len() > NAMED { moved.join("\n") } else { String::new() };
    Failure::new(Reason::PlanStale, format!("The saved plan is stale: {named}")).on(environment).details(all)
}

/// Everything of this machine that a release and its steps are made from, each under a digest that only the holder
/// of the host's key can compare with a guess.
fn inputs(prepared: &Prepared, facts: &HostFacts, directory: &Utf8Path) -> BTreeMap<String, String> {
    let subject = prepared.subject();
    let key = files::key(&subject, facts);
    let seal = |text: &str| key.digest(blake3::hash(text.as_bytes()).as_bytes());
    let mut inputs = BTreeMap::new();
    let told = manifest::describe(&prepared.environment);
    for (name, value) in settings(&told[prepared.name()], directory, &PLACES) {
        inputs.insert(format!("setting {name}"), seal(&value));
    }
    let wanted = step::desired(&subject, facts);
    for (kind, facts) in
        wanted.0.iter().filter(|(kind, _)| !matches!(kind, Kind::Files | Kind::Images | Kind::Services))
    {
        inputs.extend(facts.iter().map(|(fact, value)| (format!("wanted {kind} {fact}"), seal(value))));
    }
    let Some(release) = &prepared.release else { return inputs };
    inputs.insert("order of the Compose files".to_owned(), seal(&release.compose_files.join("\n")));
    for (path, file) in &release.files {
        let sha256 = file.sha256.unwrap_or_default();
        inputs
            .insert(format!("file {path}"), seal(&format!("{:o} {} {} {sha256:?}", file.mode, file.secret, file.seed)));
    }
    for archive in &release.archives {
        inputs.insert(format!("archive of {}", archive.image), seal(&archive.ids.join(" ")));
    }
    let variables = prepared.environment.application.iter().flat_map(|compose| compose.variables.keys());
    for name in variables {
        inputs.extend(release.variable(name).map(|digest| (format!("variable {name}"), key.digest(&digest))));
    }
    inputs
}

/// The entry's settings by their path (`health.timeout`). Paths below the manifest's directory count from there: a
/// plan may be made in one checkout and applied in another.
pub fn settings(entry: &Value, directory: &Utf8Path, without: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), entry)];
    while let Some((path, value)) = open.pop() {
        if without.contains(&path.as_str()) {
            continue;
        }
        if let Value::Object(map) = value {
            let name = |key: &String| if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            open.extend(map.iter().map(|(key, inner)| (name(key), inner)));
        } else {
            found.insert(path, value.to_string().replace(&format!("\"{directory}/"), "\"./"));
        }
    }
    found
}

fn other_inputs(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let differs = |name: &&&String| then.get(**name) != now.get(**name);
    let moved: Vec<&String> = names.iter().filter(differs).copied().collect();
    let variable = moved.iter().any(|name| name.starts_with("variable "));
    let phrase = |name: &&String| match (then.contains_key(*name), now.contains_key(*name)) {
        (false, _) => format!("{name} was added here"),
        (_, false) => format!("{name} is gone here"),
        _ => format!("{name} changed here"),
    };
    // What the variables are written to says nothing beside them.
    moved.iter().filter(|name| !(variable && **name == "file .env")).map(phrase).collect()
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
mod tests {
    use super::*;
    use crate::event::Action;

    fn step(kind: Kind) -> PlannedStep {
        PlannedStep {
            environment: "a".to_owned(),
            kind,
            action: Action::Update,
            reason: "differs".to_owned(),
            destructive: false,
            changes: Vec::new(),
        }
    }

    fn saved(bound: Bound) -> SavedPlan {
        SavedPlan {
            made_at: Timestamp::UNIX_EPOCH,
            by: "u@m".to_owned(),
            named: false,
            environments: BTreeMap::from([("a".to_owned(), bound)]),
            plan: PlanView { steps: vec![step(Kind::Files)], ..PlanView::default() },
        }
    }

    fn bound(inputs: &[(&str, &str)], serial: u64, facts: &[(Kind, &str, &str)]) -> Bound {
        let mut state = State::default();
        for (kind, fact, value) in facts {
            state.0.entry(*kind).or_default().insert((*fact).to_owned(), (*value).to_owned());
        }
        let inputs = inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Bound { key: "0".repeat(32), inputs, serial, facts: state }
    }

    #[test]
    fn a_file_reads_back_and_a_damaged_or_newer_one_is_refused() {
        let plan = saved(bound(&[("file x", "1")], 7, &[(Kind::Files, "x", "0644")]));
        let text = plan.text();
        let path = Utf8Path::new("p.plan");
        assert_eq!(SavedPlan::parse(&text, path).expect("whole"), plan);
        for (from, to, words) in [
            ("\"serial\": 7", "\"serial\": 8", "digest"),
            ("\"format\": 1", "\"format\": 2", "newer deployer (format 2"),
            ("\"format\": 1", "\"form\": 1", "names no format"),
            ("\"body\"", "body", "not a whole saved plan"),
        ] {
            assert!(text.contains(from), "{from}");
            let failure = SavedPlan::parse(&text.replace(from, to), path).expect_err("refused");
            assert_eq!(failure.reason, Reason::PlanInvalid);
            assert!(failure.message.contains(words), "{failure}");
        }
        for cut in 0..text.len() - 2 {
            assert!(SavedPlan::parse(&text[..cut], path).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn everything_that_moved_is_named() {
        let then = bound(&[("file x", "1"), ("file .env", "1"), ("variable T", "1")], 7, &[(Kind::Files, "x", "a")]);
        let plan = saved(then.clone());
        assert_eq!(plan.moved("a", &then, &[step(Kind::Files)]), Vec::<String>::new());
        let now = bound(&[("file y", "1"), ("file .env", "2"), ("variable T", "2")], 8, &[(Kind::Files, "x", "b")]);
        assert_eq!(
            plan.moved("a", &now, &[]),
            [
                "file x is gone here",
                "file y was added here",
                "variable T changed here",
                "the host's serial went from 7 to 8",
                "x on the host went from a to b",
            ]
        );
        let more = [step(Kind::Files), step(Kind::Engine)];
        assert_eq!(plan.moved("a", &then, &more), ["a step for engine is needed that the plan does not hold"]);
        assert_eq!(plan.moved("a", &then, &[]), ["the step for files is not needed any more"]);
        let other = PlannedStep { environment: "b".to_owned(), ..step(Kind::Access) };
        assert_eq!(plan.moved("b", &then, &[other]), ["a step for access is needed that the plan does not hold"]);
        let claimed = Bound { key: "1".to_owned(), serial: 8, ..now.clone() };
        assert_eq!(plan.moved("a", &claimed, &[])[0], "the host's serial went from 7 to 8");
        let rekeyed = Bound { key: "1".to_owned(), ..then.clone() };
        assert_eq!(plan.moved("a", &rekeyed, &[]), ["the host has another digest key"]);
        let failure = stale("a", &vec!["x moved".to_owned(); 8]);
        assert!(failure.message.ends_with("; and 2 more") && failure.details.is_some());
    }

    #[test]
    fn services_that_are_unwell_in_another_way_did_not_move() {
        let facts = |value: &str| Facts::from([("web".to_owned(), value.to_owned())]);
        assert!(other_facts(Kind::Services, &facts("restarting"), &facts("exited 1")).is_empty());
        assert_eq!(other_facts(Kind::Services, &facts("healthy"), &facts("exited 1")).len(), 1);
        assert_eq!(other_facts(Kind::Files, &facts("restarting"), &facts("exited 1")).len(), 1);
    }

    #[test]
    fn settings_are_named_by_their_path_and_count_from_the_manifest() {
        let entry = serde_json::json!({"ssh": {"identity_file": "/x", "port": 22}, "checks": ["/w/dir/a", "/other"]});
        let found = settings(&entry, Utf8Path::new("/w/dir"), &PLACES);
        assert_eq!(
            found.into_iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>(),
            ["checks [\"./a\",\"/other\"]", "ssh.port 22"]
        );
    }
}
