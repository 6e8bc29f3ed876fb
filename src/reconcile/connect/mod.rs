//! The connection to an environment's host: resolves its secrets and verifies its host key. Knows no steps.

use crate::io::secret;
use crate::io::ssh::{Host, Way};
use crate::manifest::environment::Ssh;
use crate::model::event::{Event, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::reach::Reach;
use crate::model::secret::SecretSource;
use crate::reconcile::prepare::Prepared;
use futures::future::BoxFuture;
use std::time::Duration;

mod kept;

pub use kept::Kept;

/// A callback that asks whether to trust an unknown host key.
pub type Vouch<'a> = &'a (dyn Fn(&Failure) -> BoxFuture<'a, bool> + Sync);

/// Trusts no unknown key.
pub fn trust_none(_: &Failure) -> BoxFuture<'static, bool> {
    Box::pin(std::future::ready(false))
}

/// Opens the connection of one environment. Hosts that refuse or do not answer are tried again for `wait`.
///
/// Calls `vouch` if the host's key is unknown; if `vouch` returns true, the key becomes known.
pub async fn open(
    prepared: &Prepared,
    accept_new: bool,
    wait: Duration,
    sink: &Sink,
    vouch: Vouch<'_>,
) -> Result<Host, Failure> {
    if prepared.reach.address.is_empty() {
        return Err(no_machine(prepared.name()));
    }
    let mut way = way(&prepared.environment.ssh, prepared.reach.clone(), accept_new).await?;
    prepared.redactor.learn(way.sudo_password.iter().chain(&way.key_text));
    let waiting = |activity: &str| {
        sink(Event::Progress { environment: prepared.name().to_owned(), kind: None, activity: activity.to_owned() });
    };
    match Host::connect(&way, wait, &waiting).await {
        Err(failure) if failure.reason == Reason::HostKeyUnknown => {
            if !vouch(&failure).await {
                return Err(failure);
            }
            way.reach = way.reach.recording(failure.details.as_slice());
            Host::connect(&way, wait, &waiting).await
        }
        connected => connected,
    }
}

/// Opens one more connection to a host whose keys an earlier connection verified. Tries only once.
pub async fn another(ssh: &Ssh, reach: &Reach, host: &Host) -> Result<Host, Failure> {
    let way = way(ssh, reach.clone().recording(host.host_keys()), false).await?;
    Host::connect(&way, Duration::ZERO, &|_| {}).await
}

/// Returns the failure of an environment that has no machine yet.
#[must_use]
pub fn no_machine(environment: &str) -> Failure {
    let failure = Failure::new(Reason::NoMachine, format!("The machine of {environment} was not made yet"));
    failure.hint(format!("deployer apply {environment} makes it"))
}

/// Returns the failure of a command that needs a release on the host of an environment that has none.
#[must_use]
pub fn no_release(environment: &str) -> Failure {
    let failure = Failure::new(Reason::ReleaseUnknown, format!("{environment} has no release on its host"));
    failure.hint(format!("Run deployer apply {environment} first"))
}

/// Returns the connection settings of a host, with its secrets resolved.
async fn way(ssh: &Ssh, reach: Reach, accept_new: bool) -> Result<Way<'_>, Failure> {
    let resolve = async |source: Option<&SecretSource>| match source {
        Some(source) => secret::resolve(source).await.map(|value| Some(value.text)),
        None => Ok(None),
    };
    let sudo_password = resolve(ssh.sudo_password.as_ref()).await?;
    let key_text = resolve(ssh.key_source()).await?;
    Ok(Way { reach, ssh, sudo_password, key_text, accept_new })
}
