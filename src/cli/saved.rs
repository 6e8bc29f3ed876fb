//! Saved plans on this machine: written by `plan --out`, read by `apply FILE` and `show FILE`. Never contacts a host.

use super::Context;
use crate::event::{Event, PlanView};
use crate::execute::Sessions;
use crate::failure::{Failure, Reason};
use crate::reconcile::Proposal;
use crate::saved::{self, SavedPlan};
use camino::Utf8Path;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Whether an argument names a saved plan: names of environments hold neither dots nor slashes.
pub fn is_file(argument: &str) -> bool {
    argument.contains(['.', '/'])
}

/// Reads a saved plan.
pub fn read(path: &str) -> Result<SavedPlan, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => format!("There is no saved plan at {path}"),
            std::io::ErrorKind::InvalidData => format!("{path} is not a whole saved plan: it is not UTF-8"),
            _ => format!("The saved plan {path} cannot be read: {error}"),
        };
        Failure::new(Reason::PlanInvalid, message)
    })?;
    SavedPlan::parse(&text, Utf8Path::new(path))
}

/// Binds a plan to what was just observed and writes it, readable by its owner only.
pub async fn write(
    context: &Context,
    path: &Utf8Path,
    named: bool,
    sessions: &Sessions,
    plan: PlanView,
) -> Result<(), Failure> {
    let mut saved =
        SavedPlan { made_at: (context.now)(), by: context.by.clone(), named, environments: BTreeMap::new(), plan };
    let directory = context.manifest_directory();
    for (name, session) in sessions {
        let session = session.lock().await;
        let bound = saved.bind(&session.prepared, &session.facts, &directory);
        saved.environments.insert(name.clone(), bound);
    }
    put(path, &saved.text()).map_err(|error| {
        Failure::new(Reason::CommandFailed, format!("The plan cannot be saved to {path}: {error}"))
            .hint("Check the directory and its permissions")
    })?;
    let argument = if is_file(path.as_str()) { path.to_string() } else { format!("./{path}") };
    context.say(Event::Note(format!("Saved to {path}; to do exactly this: deployer apply {argument}")));
    Ok(())
}

/// Replaces the file at once; a new one has mode 0600.
fn put(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What keeps a saved plan from being applied to this manifest at all.
pub fn fits(saved: &SavedPlan, project: &str, known: &dyn Fn(&str) -> bool) -> Result<(), Vec<Failure>> {
    if saved.plan.project != project {
        let message = format!("The saved plan is of project {}, the manifest of {project}", saved.plan.project);
        return Err(vec![Failure::new(Reason::PlanInvalid, message)]);
    }
    let gone = saved.names().into_iter().filter(|name| !known(name));
    let failures: Vec<_> =
        gone.map(|name| saved::stale(&name, &["it is not in the manifest any more".into()])).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// Everything that moved since the plan was made, environment by environment.
pub async fn stale(context: &Context, plan: &SavedPlan, sessions: &Sessions, proposal: &Proposal) -> Vec<Failure> {
    let view = proposal.plan.view(Vec::new());
    let directory = context.manifest_directory();
    let mut failures = Vec::new();
    for (name, session) in sessions {
        // What is refused has no steps, and its own failure says why.
        let refused = proposal.refused.iter().any(|failure| failure.environment.as_ref() == Some(name));
        let steps = if refused { &plan.plan.steps } else { &view.steps };
        let session = session.lock().await;
        let now = plan.bind(&session.prepared, &session.facts, &directory);
        let moved = plan.moved(name, &now, steps);
        if !moved.is_empty() {
            failures.push(saved::stale(name, &moved));
        }
    }
    failures
}
