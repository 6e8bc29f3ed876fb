//! The status of an environment: its stage, health and endpoints, derived from one observation. Contacts no host.

use crate::io::store::{FormerEntry, Record};
use crate::manifest::environment::{Application, Environment, Identity};
use crate::model::event::{BackupView, EnvironmentView, FailedView, Health, Left};
use crate::model::state::{Facts, Kind, Stage};
use crate::reconcile::prepare::Prepared;
use crate::reconcile::session::Session;
use crate::resource::contract::record::PublishedPort;
use crate::resource::services::Fact;
use crate::resource::{self, Observation};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Builds the record of this observation.
#[must_use]
pub fn record(session: &Session, now: Timestamp, failed: Option<FailedView>) -> Record {
    let (subject, seen) = (session.prepared.subject(), session.seen());
    let services = resource::services::records::of(&subject, session.facts());
    let live = session.facts().files.current.is_some() || session.facts().files.swapping.is_some();
    let (facts, _) = seen.both(Kind::Services);
    let of_service = |(fact, state): (&String, &String)| {
        let name = Fact::of(fact).service().filter(|name| services.contains_key(*name))?;
        Some((name.to_owned(), state.clone()))
    };
    let of_services = facts.iter().filter_map(of_service).collect();
    let backup = resource::backups::view(&subject, session.facts());
    Record {
        stage: stage(seen),
        health: with(health(facts), backup.as_ref()),
        backup,
        address: session.prepared.reach.address.clone(),
        observed_at: now,
        serial: session.facts().access.serial,
        suspended: session.facts().access.marker.as_ref().is_some_and(|marker| marker.suspended),
        protected: resource::contract::marker::protected(&subject, session.facts()),
        reach: Some(entry(&session.prepared)),
        in_progress: others(session),
        failed,
        host_keys: session.host_keys(),
        endpoints: endpoints(&session.prepared, services.values().filter(|_| live).flat_map(|service| &service.ports)),
        services: of_services,
        met: met(session),
        state: seen.observed().clone(),
    }
}

/// Returns the way to the host, which is recorded for the time after the entry is removed from the manifest.
fn entry(Prepared { environment, reach, .. }: &Prepared) -> FormerEntry {
    let identity_file = match &environment.ssh.identity {
        Some(Identity::File(path)) => Some(path.to_string()),
        _ => None,
    };
    let place = |application: &Application| (application.project.clone(), application.host_directory.to_string());
    FormerEntry {
        port: reach.port,
        user: reach.user.clone(),
        identity_file,
        jump: environment.ssh.jump.clone(),
        renamed_from: environment.renamed_from.as_ref().map(ToString::to_string),
        application: environment.application.as_ref().map(place),
    }
}

/// Returns the holder of the environment's lease, if that is another run.
fn others(session: &Session) -> Option<String> {
    session.other_run()?.holder.as_ref().map(ToString::to_string)
}

/// Returns the wishes of the kinds that now match the manifest; for the other kinds, the wishes when they last matched.
fn met(session: &Session) -> BTreeMap<Kind, String> {
    let wishes = resource::drift::wishes(&session.prepared.subject(), session.facts()).into_iter();
    let now = wishes.filter(|(kind, _)| session.seen().matches(*kind));
    let mut met = session.prepared.met.clone();
    met.extend(now);
    met
}

/// Returns the furthest stage whose resources really exist.
fn stage(seen: &Observation) -> Stage {
    let same = |kind: Kind| seen.matches(kind);
    let (facts, (services, _)) = (seen.facts(), seen.both(Kind::Services));
    let files = &facts.files;
    if health(services) == Health::Healthy && files.current.is_some() {
        Stage::Running
    } else if files.current.is_some() || (files.staged.is_some() && same(Kind::Images)) {
        Stage::Released
    } else if Kind::ALL.into_iter().filter(|kind| kind.stage() == Stage::Configured).all(same) {
        Stage::Configured
    } else if facts.access.key.is_some() {
        Stage::Provisioned
    } else if facts.access.marker.is_some() && !facts.outside.machine.exists {
        Stage::Destroyed
    } else {
        Stage::Created
    }
}

fn health(services: &Facts) -> Health {
    let mut states = services.iter().filter(|(name, _)| Fact::of(name) != Fact::Release).peekable();
    if states.peek().is_none() {
        return Health::None;
    }
    let bad: Vec<_> = states.filter(|(name, value)| !resource::services::is_well(name, value)).collect();
    match bad.iter().all(|(_, value)| matches!(value.as_str(), "starting" | "created")) {
        true if bad.is_empty() => Health::Healthy,
        true => Health::Starting,
        false => Health::Unhealthy,
    }
}

/// Returns a phrase for each service and check, and all data, that is not as it must be.
fn unwell(record: &Record) -> Vec<String> {
    let facts = record.state.0.get(&Kind::Services).into_iter().flatten();
    let bad =
        facts.filter(|(name, value)| Fact::of(name) != Fact::Release && !resource::services::is_well(name, value));
    bad.map(|(name, value)| resource::services::phrase(name, value)).collect()
}

/// Combines the health of the services with the state of their backups.
fn with(health: Health, backup: Option<&BackupView>) -> Health {
    match backup {
        Some(backup) if health != Health::None && (backup.overdue || backup.restoring.is_some()) => Health::Unhealthy,
        _ => health,
    }
}

/// Returns the public URLs of the ports that the services publish. Ports bound to loopback are left out.
fn endpoints<'a>(prepared: &Prepared, ports: impl Iterator<Item = &'a PublishedPort>) -> Vec<String> {
    use crate::manifest::environment::CheckProbe;
    let Prepared { environment, reach, .. } = prepared;
    let address = environment.public_addresses.first().map_or_else(|| reach.address.clone(), ToString::to_string);
    let address = if address.contains(':') { format!("[{address}]") } else { address };
    let scheme = |port: &PublishedPort| {
        let checked = environment.checks.iter().find_map(|check| match &check.probe {
            CheckProbe::Http { port: number, tls, .. } if *number == port.port => {
                Some(if *tls { "https" } else { "http" })
            }
            _ => None,
        });
        checked.unwrap_or(port.protocol.as_str()).to_owned()
    };
    let public = ports.filter(|port| !port.address.starts_with("127.") && port.address != "::1");
    let mut endpoints: Vec<String> = public.map(|port| format!("{}://{address}:{}", scheme(port), port.port)).collect();
    endpoints.sort();
    endpoints.dedup();
    endpoints
}

/// Builds the view of one environment from its record, the manifest and a failed observation.
#[must_use]
pub fn view(
    environment: &Environment,
    record: Option<&Record>,
    drifted: Vec<Kind>,
    left: Vec<Left>,
    unreachable: Option<String>,
) -> EnvironmentView {
    EnvironmentView {
        name: environment.name.to_string(),
        target: if environment.provision.is_some() { "provisioned" } else { "registered" },
        address: match record {
            Some(record) if environment.address.is_empty() => record.address.clone(),
            _ => environment.address.clone(),
        },
        stage: record.map_or(Stage::Created, |record| record.stage),
        health: record.map_or(Health::None, |record| record.health),
        drifted,
        left,
        failed: record.and_then(|record| record.failed.clone()),
        in_progress: record.and_then(|record| record.in_progress.clone()),
        suspended: record.is_some_and(|record| record.suspended),
        protected: environment.protect == Some(true) || record.is_some_and(|record| record.protected),
        observed_at: record.map(|record| record.observed_at),
        endpoints: record.map(|record| record.endpoints.clone()).unwrap_or_default(),
        backup: record.and_then(|record| record.backup.clone()),
        services: record.map(|record| record.services.clone()).unwrap_or_default(),
        unwell: record.map(unwell).unwrap_or_default(),
        unreachable,
    }
}
