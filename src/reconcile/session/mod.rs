//! One environment in a run: its connection, its last observation, its lease, and the commands that run on its host.

pub mod checks;
mod command;
mod heartbeat;
mod lease;
pub(crate) mod look;

pub(crate) use command::{Attempt, TRIES, Verdict};
pub use lease::{Claim, Lease};

use crate::io::ssh::{Host, Output};
use crate::model::event::{Event, FailedView, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::state::Kind;
use crate::reconcile::connect;
use crate::reconcile::machine::Machine;
use crate::reconcile::prepare::Prepared;
use crate::resource::contract::record::{self, ReleaseRecord};
use crate::resource::{self, HostFacts, Lane, Observation};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A prepared environment with a connection and an observation.
pub struct Session {
    /// The environment as the manifest defines it.
    pub prepared: Prepared,
    /// The connection; `None` while there is no machine.
    pub connection: Option<Arc<Host>>,
    /// True if an unknown host key of a new machine is accepted.
    pub accepts_new_keys: bool,
    /// The surveyed machine, if OpenTofu was asked for its plan.
    pub machine: Option<Arc<Machine>>,
    /// The lease, once the run changes something.
    pub lease: Option<Lease>,
    /// The failure of the wait for another run's lease: no step is planned.
    pub locked: Option<Failure>,
    /// The lane of the session's commands.
    pub lane: Lane,
    /// The kind of the current step.
    pub kind: Option<Kind>,
    /// The last observation; boxed, because it is large and sessions are moved.
    seen: Box<Observation>,
    /// The failure of this run.
    pub failed: Option<FailedView>,
    /// The receiver of events.
    pub sink: Sink,
    /// True if registries are asked about the images that follow them.
    pub asks: bool,
}

/// The sessions by environment.
pub type Sessions = BTreeMap<String, Mutex<Session>>;

impl Session {
    /// Returns the session of a prepared environment before its first observation. `host` is `None` if there is no
    /// machine.
    #[must_use]
    pub fn new(prepared: Prepared, host: Option<Host>, sink: Sink) -> Self {
        let (connection, seen) = (host.map(Arc::new), Box::default());
        Self {
            prepared,
            connection,
            accepts_new_keys: false,
            machine: None,
            lease: None,
            lane: Lane::default(),
            kind: None,
            seen,
            failed: None,
            sink,
            asks: false,
            locked: None,
        }
    }

    /// Returns the last observation.
    #[must_use]
    pub fn seen(&self) -> &Observation {
        &self.seen
    }

    /// Returns the facts of the last observation.
    #[must_use]
    pub fn facts(&self) -> &HostFacts {
        self.seen.facts()
    }

    /// Changes the facts without another look, and compares them again with what is wanted.
    pub fn learn(&mut self, change: impl FnOnce(&mut HostFacts)) {
        let mut facts = std::mem::take(&mut *self.seen).into_facts();
        change(&mut facts);
        *self.seen = Observation::of(&self.prepared.subject(), facts);
    }

    /// Compares the facts again, after a change of what is wanted.
    pub fn compare_again(&mut self) {
        self.learn(|_| {});
    }

    /// Returns the connection.
    ///
    /// # Errors
    /// `NoMachine` if there is no machine to connect to yet.
    pub fn host(&self) -> Result<&Arc<Host>, Failure> {
        self.connection.as_ref().ok_or_else(|| connect::no_machine(self.prepared.name()))
    }

    /// Returns the host keys of the connection, or none without a connection.
    #[must_use]
    pub fn host_keys(&self) -> Vec<String> {
        self.connection.as_ref().map(|host| host.host_keys().to_vec()).unwrap_or_default()
    }

    /// Runs a script on the host, without input and without a lease.
    ///
    /// # Errors
    /// As [`Host::run`] and [`Self::host`].
    pub async fn script(&self, script: &str, limit: Duration) -> Result<Output, Failure> {
        self.host()?.run(script, Input::Empty, limit).await
    }

    /// Returns true if the connection is broken or does not exist.
    pub async fn gone(&self) -> bool {
        match &self.connection {
            Some(host) => host.gone().await,
            None => true,
        }
    }

    /// Returns the releases on the host that converged once, newest first.
    pub async fn releases(&self) -> Result<Vec<ReleaseRecord>, Failure> {
        let script = self.prepared.subject().preamble() + resource::files::LIST;
        let output = self.script(&script, resource::SHORT).await?;
        Ok(resource::files::parse_list(&output.stdout))
    }

    /// Returns the release to go back to: the named one, or else the latest before the live one that was made from
    /// other inputs. Returns `None` if that one is live.
    pub async fn choose(&self, named: Option<&str>) -> Result<Option<ReleaseRecord>, Failure> {
        let releases = self.releases().await?;
        let live = self.facts().files.begun().next();
        let is_other = |one: &ReleaseRecord, live: &ReleaseRecord| {
            record::identity(&one.digest, &one.pulled) != record::identity(&live.digest, &live.pulled)
        };
        let found = releases.iter().find(|release| match named {
            Some(id) => release.id == id,
            None => live.is_some_and(|live| release.age() < live.age() && is_other(release, live)),
        });
        let live = live.map(|live| live.id.as_str());
        match (found, named) {
            _ if live.is_none() && releases.is_empty() => Err(connect::no_release(self.prepared.name())),
            (Some(release), _) => Ok(Some(release.clone()).filter(|release| live != Some(release.id.as_str()))),
            (None, Some(id)) => {
                let message = format!("There is no release {id} to go back to");
                let ids: Vec<&str> = releases.iter().map(|release| release.id.as_str()).collect();
                Err(Failure::new(Reason::ReleaseUnknown, message).hint(format!("The host has {}", ids.join(", "))))
            }
            (None, None) => {
                let message = "There is no release before the live one to go back to";
                Err(Failure::new(Reason::ReleaseUnknown, message))
            }
        }
    }

    /// Releases the lease and closes the connection.
    pub async fn close(self) -> Prepared {
        let (prepared, host) = self.part().await;
        if let Some(host) = host {
            host.close().await;
        }
        prepared
    }

    /// Releases the lease and returns the connection, if nothing else uses it.
    pub async fn part(mut self) -> (Prepared, Option<Host>) {
        if let Some(machine) = self.machine.take() {
            machine.discard();
        }
        self.disown().await;
        (self.prepared, self.connection.and_then(Arc::into_inner))
    }

    /// Reports the current activity.
    pub fn progress(&self, activity: impl Into<String>) {
        let environment = self.prepared.name().to_owned();
        (self.sink)(Event::Progress { environment, kind: self.kind, activity: activity.into() });
    }
}
