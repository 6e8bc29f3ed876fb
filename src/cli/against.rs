//! `deployer plan --against REF`: two manifests compared, with the files they send. Never contacts a host, opens no
//! store, and reads no secret.

use super::{Context, Ending};
use crate::against;
use crate::event::{Event, Outcome};
use crate::failure::{Failure, Reason};
use crate::manifest::{self, Manifest};
use std::collections::BTreeSet;

/// Compares and says the plan.
pub async fn plan(context: &Context, names: &[String], reference: &str) -> Result<Ending, Vec<Failure>> {
    if context.file == "-" {
        let message = "A manifest from standard input is in no commit";
        return Err(vec![Failure::new(Reason::Usage, message).hint("Name the file with -f")]);
    }
    let new = manifest::load_unsettled(context.file.as_str(), context.home.as_deref())?;
    let wanted = select(&new, names)?;
    let checkout =
        against::checkout(&context.manifest_directory(), reference).await.map_err(|failure| vec![failure])?;
    let old = earlier(context, reference, &checkout);
    if let Some(old) = &old {
        for name in old.environments.keys().filter(|name| names.is_empty() && !new.environments.contains_key(*name)) {
            let message = "is no longer in the manifest; its host is left as it is".to_owned();
            context.say(Event::Warning { environment: Some(name.to_string()), message });
        }
    }
    let mut compared = against::compare(old.as_ref(), &new, &wanted).await;
    compared.view.against = Some(reference.to_owned());
    for (environment, failure) in compared.unreadable {
        let message = format!("cannot be rendered as it was at {reference} and is shown as new: {failure}");
        context.say(Event::Warning { environment: Some(environment), message });
    }
    for failure in &compared.failures {
        context.say(Event::Failure(failure.clone()));
    }
    let outcome = if compared.view.steps.is_empty() { Outcome::Converged } else { Outcome::Planned };
    let others = compared.failures.len() < wanted.len();
    context.say(Event::Plan(compared.view));
    Ok(if compared.failures.is_empty() { Ending::ok(outcome) } else { Ending::of(&compared.failures, others) })
}

/// The manifest as it was. Where there was none, or one that is not valid, all is new.
fn earlier(context: &Context, reference: &str, checkout: &against::Checkout) -> Option<Manifest> {
    let name = context.file.file_name().unwrap_or_default();
    let new = |why: String| {
        let message = format!("{name} {why} at {reference}: everything is shown as new");
        context.say(Event::Warning { environment: None, message });
    };
    let Ok(text) = std::fs::read_to_string(checkout.directory.join(name)) else {
        new("is not there".to_owned());
        return None;
    };
    let label = format!("{reference}:{name}");
    match manifest::parse(&text, &label, &checkout.directory, context.home.as_deref()) {
        Ok(manifest) => Some(manifest),
        Err(failures) => {
            let first = failures.first().map_or("", |failure| failure.message.as_str());
            new(format!("is not valid ({first})"));
            None
        }
    }
}

fn select(manifest: &Manifest, names: &[String]) -> Result<BTreeSet<String>, Vec<Failure>> {
    let all: BTreeSet<String> = manifest.environments.keys().map(ToString::to_string).collect();
    let failures: Vec<Failure> =
        names.iter().filter(|name| !all.contains(*name)).map(|name| super::pass::unknown(manifest, name)).collect();
    match failures.is_empty() {
        false => Err(failures),
        true if names.is_empty() => Ok(all),
        true => Ok(names.iter().cloned().collect()),
    }
}
