//! `deployer check`: checks everything that needs no host. Contacts no host.

use crate::model::ending::Ending;
use crate::model::event::Event;
use crate::model::failure::Failure;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass};
use crate::reconcile::prepare::{self, Resolve};

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
    let mut well = Vec::new();
    for environment in pass.select(names, false)? {
        let mut own = pass.machine(&environment, secrets).await;
        if secrets {
            own.extend(prepare::secrets_of_access(&environment).await);
        }
        let name = environment.name.clone();
        let resolve = if secrets { Resolve::Everything } else { Resolve::Literals };
        let hide = |name: &str, known: &_| context.front.hide(name, known);
        own.extend(prepare::prepare(environment, resolve, &hide).await.err().into_iter().flatten());
        if own.is_empty() {
            well.push(name.to_string());
        }
        failures.extend(own.into_iter().map(|failure| failure.on(&name)));
    }
    if failures.is_empty() {
        context.say(Event::Note(format!("{} is valid: {}", context.file, well.join(", "))));
    }
    Ok(failures)
}
