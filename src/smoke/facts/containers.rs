//! The containers of Compose projects. Ignores containers started by hand (`docker compose run`).

use super::{Finding, after};
use crate::model::verdict::Judgement::{Failed, Passed, Warned};
use std::collections::BTreeSet;

pub(super) fn judge(lines: &[Vec<&str>], projects: &BTreeSet<String>) -> Vec<Finding> {
    if !projects.is_empty() && after(lines, "docker").next().is_none() {
        return vec![Finding::new("containers", Failed, "the host has no docker")];
    }
    let mut findings = Vec::new();
    for project in projects {
        let own: Vec<Finding> = after(lines, "container").filter_map(|words| one(project, words)).collect();
        if own.is_empty() {
            findings.push(Finding::new("containers", Failed, format!("none of project {project}")));
        }
        findings.extend(own);
    }
    findings
}

/// Parses PROJECT SERVICE STATE EXIT-CODE RESTARTS HEALTH from `docker inspect`. Returns `None` for another project.
fn one(project: &str, words: &[&str]) -> Option<Finding> {
    let [of, service, state, code, restarts, health] = words else { return None };
    if *of != project {
        return None;
    }
    let again = restarts.parse::<u64>().ok().filter(|restarts| *restarts > 0);
    let again = again.map(|restarts| format!(", restarts: {restarts}")).unwrap_or_default();
    let (judgement, detail) = match (*state, *health) {
        ("running", "healthy" | "none") if again.is_empty() => (Passed, words_of(state, health)),
        ("running", "healthy" | "none" | "starting") => (Warned, words_of(state, health) + &again),
        ("running", _) => (Failed, words_of(state, health) + &again),
        ("exited", _) if *code == "0" => (Passed, "ended".to_owned()),
        ("exited" | "dead", _) => (Failed, format!("{state} ({code}){again}")),
        _ => (Failed, format!("{state}{again}")),
    };
    Some(Finding::new(format!("container {service}"), judgement, detail))
}

fn words_of(state: &str, health: &str) -> String {
    if health == "none" { state.to_owned() } else { format!("{state}, {health}") }
}
