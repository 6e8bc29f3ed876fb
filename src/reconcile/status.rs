//! The status of an environment: its stage, health and endpoints, derived from one observation. Contacts no host.

use crate::io::store::{FormerEntry, Record};
use crate::manifest::environment::{Application, Environment, Identity};
use crate::model::event::{BackupView, EnvironmentView, FailedView, Health, Left};
use crate::model::state::{Facts, Kind, Stage};
use crate::reconcile::prepare::Prepared;
use crate::reconcile::session::Session;
use crate::release::sent::Release;
use crate::resource::access;
use crate::resource::contract::record::{PublishedPort, Rejection};
use crate::resource::services::Fact;
use crate::resource::{self, Observation};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Builds the record of this observation.
#[must_use]
pub fn record(session: &Session, now: Timestamp, failed: Option<FailedView>) -> Record {
    let (subject, seen) = (session.prepared.subject(), session.seen());
    let services = resource::services::live(&subject, session.facts());
    let states = services.iter().filter_map(|(name, service)| Some(((*name).to_owned(), service.state.clone()?)));
    let (facts, _) = seen.both(Kind::Services);
    let backup = resource::backups::view(&subject, session.facts());
    Record {
        stage: stage(&session.prepared.environment, seen),
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
        endpoints: endpoints(&session.prepared, services.values().flat_map(|service| service.ports)),
        services: states.collect(),
        met: met(session),
        state: seen.observed().clone(),
    }
}

/// Returns true if an environment was applied when it was recorded: its host had its marker, or something else of it.
/// Former versions also recorded environments that were only looked at.
#[must_use]
pub fn was_applied(record: &Record) -> bool {
    let marked = record.state.0.get(&Kind::Access).is_some_and(|facts| facts.contains_key(access::MARKER));
    marked || record.suspended || !matches!(record.stage, Stage::Created | Stage::Configured)
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

/// Returns true if the observation matches the manifest completely, so that an earlier failure is over. A file whose
/// values were not read is not compared, and could differ.
#[must_use]
pub fn is_as_wanted(session: &Session) -> bool {
    let (prepared, facts) = (&session.prepared, session.facts());
    let whole = |release: &Release| release.files.values().all(|file| file.seed || file.sha256.is_some());
    let compared = prepared.environment.application.is_none() || prepared.release.as_ref().is_some_and(whole);
    compared
        && prepared.mistakes.is_empty()
        && prepared.environment.stage != Stage::Destroyed
        && facts.backups.restoring.is_none()
        && resource::release_identity::held(&prepared.subject(), facts).is_none_or(|held| held.by == Rejection::Hand)
        && prepared.steps(session.seen(), prepared.environment.stage).is_empty()
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

/// Returns the furthest stage whose resources really exist. A host without the environment's marker has nothing of it,
/// even if Docker is installed there.
#[must_use]
pub fn stage(environment: &Environment, seen: &Observation) -> Stage {
    let same = |kind: Kind| seen.matches(kind);
    let (facts, (services, _)) = (seen.facts(), seen.both(Kind::Services));
    let (files, access) = (&facts.files, &facts.access);
    let marked = access.marker.as_ref().is_some_and(|marker| marker.is_of(environment));
    if health(services) == Health::Healthy && files.current.is_some() {
        Stage::Running
    } else if files.current.is_some() || (files.staged.is_some() && same(Kind::Images)) {
        Stage::Released
    } else if !marked {
        Stage::Created
    } else if access.key.is_none() && !facts.outside.machine.exists {
        // A removal ends with the key, and leaves the marker.
        Stage::Destroyed
    } else if Kind::ALL.into_iter().filter(|kind| kind.stage() == Stage::Configured).all(same) {
        Stage::Configured
    } else if access.key.is_some() {
        Stage::Provisioned
    } else {
        Stage::Created
    }
}

fn health(services: &Facts) -> Health {
    if services.keys().all(|name| Fact::of(name) == Fact::Release) {
        return Health::None;
    }
    let bad: Vec<_> = resource::services::unwell(services).collect();
    match bad.iter().all(|(_, value)| matches!(value.as_str(), "starting" | "created")) {
        true if bad.is_empty() => Health::Healthy,
        true => Health::Starting,
        false => Health::Unhealthy,
    }
}

/// Returns a phrase for each service and check, and all data, that is not as it must be.
fn unwell(record: &Record) -> Vec<String> {
    let bad = record.state.0.get(&Kind::Services).into_iter().flat_map(resource::services::unwell);
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

/// Returns true if an environment was never applied or was destroyed. A machine that somebody else stopped or deleted is
/// drift.
fn is_absent(environment: &Environment, record: Option<&Record>) -> bool {
    let registered = environment.provision.is_none();
    record.is_none_or(|record| match record.stage {
        Stage::Created => registered || record.address.is_empty(),
        Stage::Destroyed => registered || record.suspended,
        _ => false,
    })
}

/// Builds the view of one environment from its record, the manifest and a failed observation. An environment that was
/// never applied, or that was destroyed, has no drift.
#[must_use]
pub fn view(
    environment: &Environment,
    record: Option<&Record>,
    drifted: Vec<Kind>,
    left: Vec<Left>,
    unreachable: Option<String>,
) -> EnvironmentView {
    // The last known health of an unreachable host says nothing about now.
    let current = record.filter(|_| unreachable.is_none());
    let (drifted, left) = if is_absent(environment, record) { (Vec::new(), Vec::new()) } else { (drifted, left) };
    EnvironmentView {
        name: environment.name.to_string(),
        target: if environment.provision.is_some() { "provisioned" } else { "registered" },
        address: match record {
            Some(record) if environment.address.is_empty() => record.address.clone(),
            _ => environment.address.clone(),
        },
        stage: record.map_or(Stage::Created, |record| record.stage),
        health: current.map_or(Health::None, |record| record.health),
        drifted,
        left,
        failed: record.and_then(|record| record.failed.clone()),
        in_progress: record.and_then(|record| record.in_progress.clone()),
        suspended: record.is_some_and(|record| record.suspended),
        protected: environment.protect == Some(true) || record.is_some_and(|record| record.protected),
        observed_at: record.map(|record| record.observed_at),
        endpoints: record.map(|record| record.endpoints.clone()).unwrap_or_default(),
        backup: record.and_then(|record| record.backup.clone()),
        services: current.map(|record| record.services.clone()).unwrap_or_default(),
        unwell: current.map(unwell).unwrap_or_default(),
        unreachable,
    }
}
