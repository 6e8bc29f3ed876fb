//! `deployer check`: checks everything that needs no host. Contacts no host.

use crate::io::ssh;
use crate::manifest::environment::Source;
use crate::manifest::tracker::Taken;
use crate::model::ending::Ending;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass};
use crate::reconcile::prepare::{self, Prepared, Resolve};
use std::collections::{BTreeMap, BTreeSet};

/// Checks the manifest and its files. Reads secrets only if `secrets` is true.
pub async fn run(context: &Context, names: &[String], secrets: bool) -> Ending {
    let failures = match look(context, names, secrets).await {
        Ok(failures) | Err(failures) => failures,
    };
    for failure in &failures {
        context.say(Event::Failure(failure.clone()));
    }
    Ending::of(&failures, false)
}

/// Returns all failures, without printing them.
async fn look(context: &Context, names: &[String], secrets: bool) -> Result<Vec<Failure>, Vec<Failure>> {
    let pass = Pass::open(context, Keep::Never).await?;
    let mut failures = Vec::new();
    let (mut well, mut ready) = (Vec::new(), Vec::new());
    if let Some(missing) = ssh::missing().await {
        let message =
            format!("{}, and every command that connects needs it: install openssh-client", missing.message());
        context.say(Event::Warning { environment: None, message });
    }
    for environment in pass.select(names, false)? {
        let mut own = pass.machine(&environment, secrets).await;
        if secrets {
            own.extend(prepare::secrets_of_access(&environment).await);
        }
        let name = environment.name.clone();
        let resolve = if secrets { Resolve::Everything } else { Resolve::Literals };
        let hide = |name: &str, known: &_| context.front.hide(name, known);
        match prepare::prepare(environment, resolve, &hide).await {
            Ok(prepared) => ready.push(prepared),
            Err(several) => own.extend(several),
        }
        if own.is_empty() {
            well.push(name.to_string());
        }
        failures.extend(own.into_iter().map(|failure| failure.on(&name)));
    }
    failures.extend(published_twice(&ready));
    if failures.is_empty() {
        context.say(Event::Note(format!("{} is valid: {}", context.file, well.join(", "))));
    }
    Ok(failures)
}

/// Returns a failure for each port that applications of two environments publish on one host. The manifest's rules
/// compare trackers with each other.
fn published_twice(ready: &[Prepared]) -> Vec<Failure> {
    let mut taken: BTreeMap<_, Vec<(&Prepared, &Taken)>> = BTreeMap::new();
    let mut failures = Vec::new();
    for prepared in ready.iter().filter(|prepared| !prepared.environment.address.is_empty()) {
        let is_tracker = |one: &Prepared| {
            one.environment.application.as_ref().is_some_and(|it| matches!(it.source, Source::Tracker(_)))
        };
        let mut known = BTreeSet::new();
        for (port, at) in prepared.release.iter().flat_map(|release| &release.published) {
            let others = taken.entry((prepared.environment.host(), port.port)).or_default();
            let other = others.iter().find(|(other, before)| {
                other.name() != prepared.name() && before.collides(port) && !(is_tracker(other) && is_tracker(prepared))
            });
            // One line can publish a range.
            if let Some((other, before)) = other.filter(|(other, _)| known.insert((other.name(), at.line))) {
                let (name, number, protocol) = (prepared.name(), port.port, port.protocol.name());
                let message = format!(
                    "`{name}` and `{}` share a host, and their services {} and {} publish the same port, {number}/{protocol}",
                    other.name(),
                    port.by,
                    before.by
                );
                let failure = Failure::new(Reason::ApplicationInvalid, message).at(at.clone()).on(name);
                failures.push(failure.hint("Give one of them another port, another address or another host"));
            }
            others.push((prepared, port));
        }
    }
    failures
}
