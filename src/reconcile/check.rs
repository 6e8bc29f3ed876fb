//! `deployer check`: checks everything that needs no host. Contacts no host.

use crate::io::ssh;
use crate::manifest::environment::HostId;
use crate::model::ending::Ending;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::model::state::Stage;
use crate::reconcile::consent;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass};
use crate::reconcile::prepare::{self, Resolve};
use crate::release::published::Published;
use std::collections::BTreeMap;

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
    let (mut well, mut publishing, mut others) = (Vec::new(), Vec::new(), Vec::new());
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
            Ok(prepared) => {
                others.extend(consent::other_project(&prepared));
                // Otherwise no services are to run there.
                if let Some(release) = prepared.release.filter(|_| prepared.environment.stage >= Stage::Released) {
                    let (host, published) = (prepared.environment.host(), release.published);
                    publishing.push(Publishing { name: name.to_string(), host, published });
                }
            }
            Err(several) => own.extend(several),
        }
        if own.is_empty() {
            well.push(name.to_string());
        }
        failures.extend(own.into_iter().map(|failure| failure.on(&name)));
    }
    consent::warn_other_projects(context, others.into_iter());
    failures.extend(published_twice(&publishing));
    if failures.is_empty() {
        let what = if well.is_empty() { "it has no environments".to_owned() } else { well.join(", ") };
        context.say(Event::Note(format!("{} is valid: {what}", context.file)));
    }
    Ok(failures)
}

/// What an environment publishes on its host.
struct Publishing {
    name: String,
    host: HostId,
    published: Vec<Published>,
}

/// The most failures about the ports of one environment.
const MOST: usize = 20;

/// The most pairs of lines that are compared. 100 environments of one host with 40 ports each have half as many.
const COMPARED: usize = 16_000_000;

/// Returns a failure for each line of a Compose file that publishes a port of another environment of the host.
fn published_twice(publishing: &[Publishing]) -> Vec<Failure> {
    let mut sharing: BTreeMap<_, Vec<&Publishing>> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut left = COMPARED;
    // A machine that OpenTofu makes has no address yet, and is not shared.
    for one in publishing.iter().filter(|one| !one.host.0.is_empty()) {
        let others = sharing.entry(&one.host).or_default();
        let lines = one.published.iter().filter_map(|line| {
            let taken = others.iter().flat_map(|other| other.published.iter().map(move |before| (other, before)));
            let mut taken = taken.take_while(|_| {
                left = left.saturating_sub(1);
                left > 0
            });
            taken.find_map(|(other, before)| Some(clash(one, line, other, before, line.shared(before)?)))
        });
        failures.extend(lines.take(MOST));
        others.push(one);
    }
    failures
}

fn clash(one: &Publishing, line: &Published, other: &Publishing, before: &Published, port: u16) -> Failure {
    let message = format!(
        "`{}` and `{}` share a host, and their services {} and {} publish the same port, {port}/{}",
        one.name,
        other.name,
        line.service,
        before.service,
        line.protocol.name()
    );
    let failure = Failure::new(Reason::ApplicationInvalid, message).at(line.at.clone()).on(&one.name);
    let at = &before.at;
    failure.hint(format!(
        "Give one of them another port, another address or another host. The other one is at {}:{}:{}",
        at.file, at.line, at.column
    ))
}
