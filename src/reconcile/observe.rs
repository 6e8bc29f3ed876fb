//! The first observation of a pass: OpenTofu's plans for machines, connections, one observation of each host. Changes
//! nothing.

use crate::io::ssh::Host;
use crate::io::store::Record;
use crate::manifest::environment::Environment;
use crate::model::event::{Event, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::state::Stage;
use crate::reconcile::connect::{self, Kept, Vouch};
use crate::reconcile::machine::{self, Machine, Provisioner};
use crate::reconcile::prepare::Prepared;
use crate::reconcile::request::{Goal, Outside, Request};
use crate::reconcile::session::{Session, Sessions};
use crate::resource::contract::marker::Marker;
use crate::resource::infrastructure::Seen;
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The context of an observation.
pub struct Survey<'a> {
    /// The records of the environments.
    pub records: &'a BTreeMap<String, Record>,
    /// The settings of the pass.
    pub request: &'a Request,
    /// Open connections that are reused, if any.
    pub kept: Option<&'a Kept>,
    /// The tools that make machines.
    pub provisioner: &'a Provisioner,
    /// The receiver of events.
    pub sink: &'a Sink,
    /// True if an unknown host key is recorded instead of refused.
    pub accept_new_host_keys: bool,
    /// The callback that asks whether to trust an unknown host key.
    pub vouch: Vouch<'a>,
}

/// Observes all environments, several at once. Returns failures with their environments.
pub async fn observe(prepared: Vec<Prepared>, survey: &Survey<'_>) -> (Sessions, Vec<(Prepared, Failure)>) {
    let all = futures::stream::iter(prepared.into_iter().map(|prepared| survey.one(prepared)));
    let results: Vec<_> = all.buffer_unordered(survey.request.parallel.max(1)).collect().await;
    let (mut sessions, mut failures) = (Sessions::new(), Vec::new());
    for result in results {
        match result {
            Ok(session) => _ = sessions.insert(session.prepared.name().to_owned(), Mutex::new(session)),
            Err(failed) => failures.push(failed),
        }
    }
    failures.sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
    (sessions, failures)
}

impl Survey<'_> {
    async fn one(&self, mut prepared: Prepared) -> Result<Session, (Prepared, Failure)> {
        let record = self.records.get(prepared.name());
        let machine = match self.machine(&mut prepared).await {
            Ok(machine) => machine,
            Err(failure) => {
                let failure = failure.on(prepared.name());
                return Err((prepared, failure));
            }
        };
        let seen = machine.as_ref().map(Machine::seen).or_else(|| remembered(&prepared));
        let goes = seen.as_ref().is_some_and(|seen| goes(&prepared.environment, seen));
        let still = |seen: &Seen| {
            let machine = prepared.environment.provision.as_ref().map(|provision| &provision.machine);
            !goes && machine.is_some_and(|machine| seen.is_unseen(machine))
        };
        let absent = seen.as_ref().is_some_and(|seen| !seen.exists || still(seen)) || prepared.reach.address.is_empty();
        let session = if absent && prepared.environment.provision.is_some() {
            Ok(self.without_host(prepared, record))
        } else {
            match Box::pin(self.contact(prepared, machine.as_ref(), goes)).await {
                // The plan deletes the machine: it may already be gone.
                Err((prepared, failure)) if goes && failure.reason.unreachable() => {
                    Ok(self.without_host(prepared, record))
                }
                looked => looked,
            }
        };
        session.map(|mut session| {
            let Prepared { environment, reach, .. } = &session.prepared;
            let stays = machine.is_some() && session.connection.is_some() && !goes;
            if let Some(message) = machine::born_otherwise(environment, reach).filter(|_| stays) {
                (self.sink)(Event::Warning { environment: Some(session.prepared.name().to_owned()), message });
            }
            if let Some(seen) = seen {
                session.learn(|facts| facts.outside.machine = seen);
            }
            session.accepts_new_keys = self.accept_new_host_keys;
            session.machine = machine.map(Arc::new);
            session
        })
    }

    /// Returns OpenTofu's proposal for the machine, or `None` if the pass does not ask.
    async fn machine(&self, prepared: &mut Prepared) -> Result<Option<Machine>, Failure> {
        if self.request.outside == Outside::LeftAlone || self.request.goal == Goal::RollBack {
            return Ok(None);
        }
        let taking_down = self.request.goal.stage(&prepared.environment).is_none();
        Box::pin(self.provisioner.survey(prepared, taking_down, self.sink)).await
    }

    /// Connects, over a kept connection if there is one, and observes the host.
    async fn contact(
        &self,
        mut prepared: Prepared,
        machine: Option<&Machine>,
        goes: bool,
    ) -> Result<Session, (Prepared, Failure)> {
        if let Some(key) = machine.and_then(Machine::host_key) {
            prepared.reach = prepared.reach.recording(&[key]);
        }
        if let Some(kept) = self.kept
            && let Some(host) = kept.take(&prepared).await
        {
            match Box::pin(self.look(prepared, host)).await {
                // The kept connection broke since the last observation, maybe for good: a new connection shows which.
                Err((again, failure)) if failure.reason == Reason::ConnectionLost => prepared = again,
                looked => return looked,
            }
        }
        let patient = self.request.patient && !goes;
        let wait = if patient { prepared.environment.ssh.wait } else { Duration::ZERO };
        let accept_new = self.accept_new_host_keys;
        let mut opened = connect::open(&prepared, accept_new, wait, self.sink, self.vouch).await;
        // A killed run may have made the machine as the manifest defines it, without recording how it is reached.
        if matches!(&opened, Err(failure) if failure.reason.unreachable())
            && let Some(declared) = machine::as_declared(&prepared.environment, &prepared.reach)
        {
            let recalled = std::mem::replace(&mut prepared.reach, declared);
            let again = connect::open(&prepared, accept_new, wait, self.sink, self.vouch).await;
            if again.is_ok() {
                opened = again;
            } else {
                prepared.reach = recalled;
            }
        }
        match opened {
            Ok(host) => Box::pin(self.look(prepared, host)).await,
            Err(failure) => {
                let failure = failure.on(prepared.name());
                Err((prepared, failure))
            }
        }
    }

    /// Observes a host for the first time.
    async fn look(&self, prepared: Prepared, host: Host) -> Result<Session, (Prepared, Failure)> {
        let mut session = Session::new(prepared, Some(host), self.sink.clone());
        session.asks = self.request.outside == Outside::Asked;
        match session.observe().await {
            Ok(()) => Ok(session),
            Err(failure) => {
                let failure = failure.on(session.prepared.name());
                Err((session.close().await, failure))
            }
        }
    }

    /// Builds a session without a host. Facts that a host would remember come from the record.
    fn without_host(&self, prepared: Prepared, record: Option<&Record>) -> Session {
        let environment = &prepared.environment;
        let known = record.filter(|record| record.stage != Stage::Created);
        let marker = known.map(|record| Marker::of(environment, record.suspended, record.protected));
        let mut session = Session::new(prepared, None, self.sink.clone());
        session.asks = self.request.outside == Outside::Asked;
        session.learn(|facts| facts.access.marker = marker);
        session
    }
}

/// Returns true if the plan deletes or replaces the current machine.
fn goes(environment: &Environment, seen: &Seen) -> bool {
    seen.taking_down || environment.provision.as_ref().is_some_and(|provision| seen.is_new(&provision.machine))
}

/// Returns the machine as the record describes it, for a pass that asked no provider.
fn remembered(prepared: &Prepared) -> Option<Seen> {
    let exists = !prepared.reach.address.is_empty();
    prepared.environment.provision.as_ref().map(|_| Seen { exists, ..Seen::default() })
}
