//! The connection to an environment's host: resolves its secrets and verifies its host key. Knows no steps.

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

/// A callback that asks whether to trust an unknown host key.
pub type Vouch<'a> = &'a (dyn Fn(&Failure) -> bool + Sync);

/// Opens the connection of one environment; `known` are host keys of an earlier contact. Hosts that refuse or do not
/// answer are tried again for `wait`.
///
/// Calls `vouch` if the host's key is unknown; if `vouch` returns true, the key becomes known.
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

/// Opens one more connection to a host whose keys an earlier connection verified. Tries only once.
pub async fn another(environment: &Environment, known: &[String]) -> Result<Host, Failure> {
    Host::connect(&way(environment, known, false).await?, Duration::ZERO, &|_| {}).await
}

/// Returns the failure of an environment that has no machine yet.
#[must_use]
pub fn no_machine(environment: &str) -> Failure {
    let failure = Failure::new(Reason::NoMachine, format!("The machine of {environment} was not made yet"));
    failure.hint(format!("deployer apply {environment} makes it"))
}

/// Returns the connection settings of an environment's host, with its secrets resolved.
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
