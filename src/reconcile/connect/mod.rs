//! The connection to an environment's host: its secrets resolved, its key judged. Never knows what is to be done
//! there.

use crate::io::secret;
use crate::io::ssh::{Host, Way};
use crate::manifest::environment::Environment;
use crate::model::event::{Event, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::secret::SecretSource;
use crate::reconcile::prepare::Prepared;
use std::time::Duration;

mod kept;

pub use kept::Kept;

/// Asked whether an unknown host key is to be trusted.
pub type Vouch<'a> = &'a (dyn Fn(&Failure) -> bool + Sync);

/// Opens the connection of one environment; `known` are host keys of an earlier contact. Refused and silent
/// hosts are tried again for `wait`.
///
/// `vouch` is asked where a host's key is not known yet; its yes makes the key known.
pub async fn open(
    prepared: &Prepared,
    known: &[String],
    accept_new: bool,
    wait: Duration,
    sink: &Sink,
    vouch: Vouch<'_>,
) -> Result<Host, Failure> {
    let mut way = way(&prepared.environment, known, accept_new).await?;
    prepared.redactor.learn(way.sudo_password.iter().chain(&way.key_text));
    let waiting = |activity: &str| {
        sink(Event::Progress { environment: prepared.name().to_owned(), kind: None, activity: activity.to_owned() });
    };
    match Host::connect(&way, wait, &waiting).await {
        Err(failure) if failure.reason == Reason::HostKeyUnknown && vouch(&failure) => {
            let key = failure.details.into_iter().collect::<Vec<_>>();
            way.known = &key;
            Host::connect(&way, wait, &waiting).await
        }
        connected => connected,
    }
}

/// Opens one more connection to a host whose keys an earlier one verified, at the first attempt or not at all.
pub async fn another(environment: &Environment, known: &[String]) -> Result<Host, Failure> {
    Host::connect(&way(environment, known, false).await?, Duration::ZERO, &|_| {}).await
}

/// There is nothing to connect to yet.
#[must_use]
pub fn no_machine(environment: &str) -> Failure {
    let failure = Failure::new(Reason::NoMachine, format!("The machine of {environment} was not made yet"));
    failure.hint(format!("deployer apply {environment} makes it"))
}

/// The way to an environment's host, with its secrets resolved.
async fn way<'a>(environment: &'a Environment, known: &'a [String], accept_new: bool) -> Result<Way<'a>, Failure> {
    if environment.address.is_empty() {
        return Err(no_machine(environment.name.as_str()));
    }
    let resolve = async |source: Option<&SecretSource>| match source {
        Some(source) => secret::resolve(source).await.map(|value| Some(value.text)),
        None => Ok(None),
    };
    let sudo_password = resolve(environment.ssh.sudo_password.as_ref()).await?;
    let key_text = resolve(environment.ssh.key_source()).await?;
    Ok(Way { address: &environment.address, ssh: &environment.ssh, sudo_password, key_text, known, accept_new })
}
