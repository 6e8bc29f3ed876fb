//! Saved plans on the runner: written by `plan --out`, read by `apply FILE` and `show FILE`. Contacts no host.

use crate::manifest;
use crate::manifest::below;
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome, PlanView};
use crate::model::failure::{Failure, Reason};
use crate::plan::saved::{self, Bound, LIMIT, SavedFile, SavedPlan, Seal};
use crate::reconcile::consent;
use crate::reconcile::context::Context;
use crate::reconcile::pass::Pass;
use crate::reconcile::propose::Proposal;
use crate::reconcile::session::{Session, Sessions};
use crate::resource::files;
use camino::Utf8Path;
use std::collections::BTreeMap;
use std::io::{self, Write as _};

/// Returns true if an argument names a saved plan: names of environments contain neither dots nor slashes.
pub fn is_file(argument: &str) -> bool {
    argument.contains(['.', '/'])
}

/// Reads a saved plan.
pub fn read(path: &str) -> Result<SavedFile, Failure> {
    let text = text(path).map_err(|error| {
        let invalid = |what: String| Failure::new(Reason::PlanInvalid, what);
        match error.kind() {
            io::ErrorKind::NotFound => invalid(format!("There is no saved plan at {path}")),
            io::ErrorKind::InvalidData => invalid(format!("{path} is not a complete saved plan: it is not UTF-8")),
            io::ErrorKind::FileTooLarge => {
                invalid(format!("{path} is not a saved plan: it has more than {LIMIT} bytes"))
            }
            _ => invalid(format!("The saved plan {path} cannot be read")).because(error).or_disk(path),
        }
    })?;
    SavedFile::parse(&text, Utf8Path::new(path))
}

/// Reads a file's text. Reads no more than the limit.
fn text(path: &str) -> io::Result<String> {
    below::text(path.into(), LIMIT)
}

/// Binds a plan to the current observation, seals it and writes it, readable only by its owner.
pub async fn write(
    context: &Context,
    path: &Utf8Path,
    named: bool,
    sessions: &Sessions,
    plan: PlanView,
) -> Result<(), Failure> {
    let mut saved =
        SavedPlan { made_at: (context.now)(), by: context.by.clone(), named, environments: BTreeMap::new(), plan };
    let (directory, mut keys) = (context.manifest_directory(), BTreeMap::new());
    for (name, session) in sessions {
        let session = session.lock().await;
        let bound = bound(&saved, &session, &directory)?;
        saved.environments.insert(name.clone(), bound);
        keys.insert(name.clone(), files::key(&session.prepared.subject(), session.facts()).clone());
    }
    put(path, &SavedFile::seal(saved, &keys).text()).map_err(|error| {
        Failure::new(Reason::CommandFailed, format!("The plan cannot be saved to {path}"))
            .because(error)
            .hint("Check the directory and its permissions")
            .or_disk(path)
    })?;
    let argument = if is_file(path.as_str()) { path.to_string() } else { format!("./{path}") };
    context
        .say(Event::Note(format!("Saved the plan to {path}. To apply exactly this plan: deployer apply {argument}")));
    Ok(())
}

/// Prints a saved plan. Needs neither the manifest nor the hosts.
pub fn show(context: &Context, path: &str) -> Result<Ending, Failure> {
    let SavedPlan { made_at, by, environments, plan, .. } = read(path)?.plan;
    let serials = environments.iter().map(|(name, bound)| format!("{name} at serial {}", bound.serial));
    let on = serials.collect::<Vec<_>>().join(", ");
    context.say(Event::Note(format!(
        "Plan of {}, made by {by} at {}, on {on}\n",
        plan.project,
        made_at.strftime("%F %T UTC")
    )));
    context.say(Event::Plan(plan));
    context.say(Event::Note(
        "Not verified: deployer apply checks with the hosts' keys that this file was not changed".into(),
    ));
    Ok(Ending::ok(Outcome::Ok))
}

/// Returns the current inputs and facts of an environment that a plan relies on.
fn bound(plan: &SavedPlan, session: &Session, directory: &Utf8Path) -> Result<Bound, Failure> {
    let prepared = &session.prepared;
    let described = manifest::describe(&prepared.environment);
    let mut bound = plan.bind(&prepared.subject(), &described[prepared.name()], session.seen(), directory);
    if let (Some(machine), Some(provision)) = (&session.machine, &prepared.environment.provision) {
        let inputs = machine.bound(provision).map_err(|error| {
            Failure::new(Reason::ApplicationInvalid, "The files of the module cannot be read").because(error)
        })?;
        let subject = prepared.subject();
        let key = files::key(&subject, session.facts());
        let sealed = |digest: String| key.digest(blake3::hash(digest.as_bytes()).as_bytes());
        bound.inputs.extend(inputs.into_iter().map(|(name, digest)| (name, sealed(digest))));
    }
    Ok(bound)
}

/// Replaces the file atomically; a new file has mode 0600.
fn put(path: &Utf8Path, text: &str) -> io::Result<()> {
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("it has more than {LIMIT} bytes")));
    }
    let directory = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Returns the failures that make a saved plan unusable with this manifest.
pub fn fits(saved: &SavedPlan, project: &str, known: &dyn Fn(&str) -> bool) -> Result<(), Vec<Failure>> {
    if saved.plan.project != project {
        let message = format!("The saved plan is of project {}, the manifest of {project}", saved.plan.project);
        return Err(vec![Failure::new(Reason::PlanInvalid, message)]);
    }
    let gone = saved.names().into_iter().filter(|name| !known(name));
    let failures: Vec<_> = gone.map(|name| saved::stale(&name, &["it is no longer in the manifest".into()])).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// Returns a failure for each environment that changed since the plan was made, or whose plan was changed in the file.
pub async fn stale(
    context: &Context,
    pass: &Pass,
    file: &SavedFile,
    sessions: &Sessions,
    proposal: &Proposal,
) -> Result<(), Vec<Failure>> {
    let view = consent::view(context, pass, sessions, proposal).await.map_err(|failure| vec![failure])?;
    // Former versions saved what they showed with the secrets in it.
    let shown = consent::without_secrets(context, file.plan.plan.clone());
    let (plan, directory) = (&SavedPlan { plan: shown, ..file.plan.clone() }, context.manifest_directory());
    let mut failures = Vec::new();
    for (name, session) in sessions {
        // A refused environment has no steps, and its own failure gives the reason.
        let refused = proposal.refused.iter().any(|failure| failure.environment.as_ref() == Some(name));
        let steps = if refused { &plan.plan.steps } else { &view.steps };
        let session = session.lock().await;
        let now = match bound(plan, &session, &directory) {
            Ok(now) => now,
            Err(failure) => {
                failures.push(failure.on(name));
                continue;
            }
        };
        let seal = file.check(name, files::key(&session.prepared.subject(), session.facts()));
        // With another key the seal proves nothing, and the plan is stale.
        let same_key = plan.environments.get(name).is_some_and(|then| then.key == now.key);
        if same_key && seal == Seal::Broken {
            failures.push(forged(name));
            continue;
        }
        let moved = plan.moved(name, &now, steps, seal == Seal::Missing);
        if !moved.is_empty() {
            failures.push(saved::stale(name, &moved));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

fn forged(environment: &str) -> Failure {
    let message = "The saved plan was changed since deployer wrote it: it does not match its seal";
    Failure::new(Reason::PlanInvalid, message)
        .hint("Check who can write to that file, and make a new plan: deployer plan --out FILE")
        .on(environment)
}
