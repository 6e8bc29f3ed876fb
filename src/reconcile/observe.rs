//! The first look of a pass: what OpenTofu says of machines, connections, one observation of each host. Never changes
//! anything.

use crate::io::ssh::Host;
use crate::io::store::Record;
use crate::manifest::environment::Environment;
use crate::model::event::{Event, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::state::Stage;
use crate::reconcile::connect::{self, Kept, Vouch};
use crate::reconcile::execute::Sessions;
use crate::reconcile::machine::{self, Machine, Workshop};
use crate::reconcile::prepare::Prepared;
use crate::reconcile::propose::{Goal, Outside, Request};
use crate::reconcile::session::Session;
use crate::resource::contract::record::Marker;
use crate::resource::infrastructure::Seen;
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Mutex;

/// What a look needs beside what it looks at.
pub struct Survey<'a> {
    /// What is recorded of the environments.
    pub records: &'a BTreeMap<String, Record>,
    /// How they are treated.
    pub request: &'a Request,
    /// Connections that were kept, where there are some.
    pub kept: Option<&'a Kept>,
    /// What machines are made with.
    pub workshop: &'a Workshop,
    /// Where events go.
    pub sink: &'a Sink,
    /// Asked whether an unknown host key is to be trusted.
    pub vouch: Vouch<'a>,
}

/// Looks at all of them, several at once. What fails is returned by environment.
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
        let seen = machine.as_ref().map(Machine::seen).or_else(|| remembered(&prepared.environment));
        let goes = seen.as_ref().is_some_and(|seen| goes(&prepared.environment, seen));
        let still = |seen: &Seen| {
            let machine = prepared.environment.provision.as_ref().map(|provision| &provision.machine);
            !goes && machine.is_some_and(|machine| seen.is_unseen(machine))
        };
        let absent =
            seen.as_ref().is_some_and(|seen| !seen.exists || still(seen)) || prepared.environment.address.is_empty();
        let session = if absent && prepared.environment.provision.is_some() {
            Ok(self.without_host(prepared, record))
        } else {
            match Box::pin(self.contact(prepared, record, machine.as_ref(), goes)).await {
                // Nothing on it is needed any more: it may have gone already.
                Err((prepared, failure)) if goes && failure.reason.exit() == 7 => {
                    Ok(self.without_host(prepared, record))
                }
                looked => looked,
            }
        };
        session.map(|mut session| {
            let stays = machine.is_some() && session.connection.is_some() && !goes;
            if let Some(message) = machine::born_otherwise(&session.prepared.environment).filter(|_| stays) {
                (self.sink)(Event::Warning { environment: Some(session.prepared.name().to_owned()), message });
            }
            session.facts.infrastructure = seen.unwrap_or_default();
            session.accepts_new_keys = self.request.trust.new_host_keys;
            session.machine = machine;
            session
        })
    }

    /// What is proposed about the machine, where there is one to be asked about.
    async fn machine(&self, prepared: &mut Prepared) -> Result<Option<Machine>, Failure> {
        if self.request.outside == Outside::LeftAlone || self.request.goal == Goal::RollBack {
            return Ok(None);
        }
        let taking_down = self.request.goal.stage(&prepared.environment).is_none();
        Box::pin(self.workshop.survey(prepared, taking_down, self.sink)).await
    }

    /// Connects, over a connection that was kept where there is one, and looks.
    async fn contact(
        &self,
        mut prepared: Prepared,
        record: Option<&Record>,
        machine: Option<&Machine>,
        goes: bool,
    ) -> Result<Session, (Prepared, Failure)> {
        let ours = machine.and_then(Machine::host_key).map(|key| vec![key]);
        let known = ours.or_else(|| record.map(|record| record.host_keys.clone())).unwrap_or_default();
        if let Some(kept) = self.kept
            && let Some(host) = kept.take(&prepared, &known).await
        {
            match self.look(prepared, host).await {
                // It broke since the last look, maybe for good: a new one tells.
                Err((again, failure)) if failure.reason == Reason::ConnectionLost => prepared = again,
                looked => return looked,
            }
        }
        let patient = self.request.patient && !goes;
        let wait = if patient { prepared.environment.ssh.wait } else { Duration::ZERO };
        let accept_new = self.request.trust.new_host_keys;
        let mut opened = connect::open(&prepared, &known, accept_new, wait, self.sink, self.vouch).await;
        // A run that was killed may have made the machine as the manifest has it, and not noted how it is reached.
        let recalled = prepared.environment.ssh.clone();
        if matches!(&opened, Err(failure) if failure.reason.exit() == 7)
            && machine::as_declared(&mut prepared.environment)
        {
            let declared = connect::open(&prepared, &known, accept_new, wait, self.sink, self.vouch).await;
            if declared.is_ok() {
                opened = declared;
            } else {
                prepared.environment.ssh = recalled;
            }
        }
        match opened {
            Ok(host) => self.look(prepared, host).await,
            Err(failure) => {
                let failure = failure.on(prepared.name());
                Err((prepared, failure))
            }
        }
    }

    /// The first look at a host.
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

    /// There is no host to remember anything: the record does in its place.
    fn without_host(&self, prepared: Prepared, record: Option<&Record>) -> Session {
        let environment = &prepared.environment;
        let known = record.filter(|record| record.stage != Stage::Created);
        let marker = known.map(|record| Marker::of(environment, record.suspended, record.protected));
        let mut session = Session::new(prepared, None, self.sink.clone());
        session.asks = self.request.outside == Outside::Asked;
        session.facts.access.marker = marker;
        session
    }
}

/// Whether the machine as it is will not be there any more.
fn goes(environment: &Environment, seen: &Seen) -> bool {
    seen.taking_down || environment.provision.as_ref().is_some_and(|provision| seen.is_new(&provision.machine))
}

/// The machine as the record has it, where nobody was asked.
fn remembered(environment: &Environment) -> Option<Seen> {
    let exists = !environment.address.is_empty();
    environment.provision.as_ref().map(|_| Seen { exists, ..Seen::default() })
}
