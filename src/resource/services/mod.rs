//! Services: the release's files are live, its services run as defined and are healthy, and the manifest's checks pass.
//! A service whose definition and files did not change is not restarted.

mod before;
mod change;
pub(super) mod fact;
mod mounted_data;
mod networks_and_volumes;
mod old_releases;
mod probe;
pub mod records;
pub mod start;
mod taken_ports;

pub use before::end_left;
pub use change::{commands, finish, restore};
pub use fact::Fact;
pub use networks_and_volumes::made;
pub use probe::{Seen, parse, probe};

use super::compose::container::{self, Container};
use super::contract::claims;
use super::contract::record::{PublishedPort, ReleaseRecord, ServiceRecord};
use super::release_identity::{digest, identity, kept, project};
use super::{HostFacts, Subject, files};
use crate::manifest::environment::{Check, Rollback};
use crate::model::event::Change;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::engine::{ASK_ENGINE, UNKNOWN};
use crate::model::shell::quote;
use crate::model::state::Facts;
use std::collections::BTreeMap;
use std::time::Duration;

/// Returns true if the value of a fact is good: a healthy service, a passing check, or remaining volumes.
#[must_use]
pub fn is_well(fact: &str, value: &str) -> bool {
    match Fact::of(fact) {
        Fact::Check(_) => value == crate::resource::compose::check::PASSES,
        Fact::Data(_) => value == mounted_data::THERE,
        Fact::Network(_) | Fact::Volume(_) | Fact::Volumes(_) => true,
        Fact::Release | Fact::Former(_) | Fact::Service(_) => container::good(value),
    }
}

/// Returns the facts that are not well. Leaves out the record of the release.
pub fn unwell(facts: &Facts) -> impl Iterator<Item = (&String, &String)> {
    facts.iter().filter(|(name, value)| Fact::of(name) != Fact::Release && !is_well(name, value))
}

/// Returns a phrase for a service or a check that is not well.
#[must_use]
pub fn phrase(fact: &str, value: &str) -> String {
    match fact.strip_prefix("check ") {
        Some(check) => format!("check \"{check}\" failed: {value}"),
        None => format!("{fact} is {value}"),
    }
}

/// Returns the containers of the Compose project that must run.
pub fn containers<'a>(subject: &Subject<'a>, host: &'a HostFacts) -> impl Iterator<Item = &'a Container> {
    let project = project(subject, host);
    host.services.containers.iter().filter(move |container| container.is_of(project) && container.is_from_compose())
}

/// Containers of each service, indexed once because a host may have many services and containers.
#[derive(Debug, Default)]
pub struct ByService<'a>(BTreeMap<&'a str, Vec<&'a Container>>);

impl<'a> ByService<'a> {
    /// Indexes the containers of the Compose project that must run.
    #[must_use]
    pub fn of(subject: &Subject<'a>, host: &'a HostFacts) -> Self {
        Self::indexed(containers(subject, host))
    }

    fn indexed(containers: impl Iterator<Item = &'a Container>) -> Self {
        let mut all = BTreeMap::<&str, Vec<&Container>>::new();
        for container in containers {
            all.entry(&container.service).or_default().push(container);
        }
        Self(all)
    }

    /// Returns the containers of one service.
    #[must_use]
    pub fn get(&self, service: &str) -> &[&'a Container] {
        self.0.get(service).map_or(&[], Vec::as_slice)
    }

    /// Returns the observed state of a service, or `None` if it has no container.
    fn observed(&self, subject: &Subject<'_>, host: &HostFacts, name: &str, record: &ServiceRecord) -> Option<String> {
        if host.services.unanswered && record.replicas > 0 {
            return Some(UNKNOWN.to_owned());
        }
        Some(self.judge(subject, host, name, record)).filter(|state| state != "missing")
    }

    fn judge(&self, subject: &Subject<'_>, host: &HostFacts, name: &str, record: &ServiceRecord) -> String {
        container::judge(record, self.get(name), host.access.now, subject.environment.health.stable_for)
    }
}

/// Adds remarks for readers of the plan: which containers are replaced with a network, and the id of the live release,
/// as the history shows it.
pub fn remark(subject: &Subject<'_>, host: &HostFacts, changes: &mut [Change]) {
    networks_and_volumes::remark(subject, host, changes);
    let Some(live) = &host.files.current else { return };
    let is_replaced =
        |change: &&mut Change| Fact::of(&change.fact) == Fact::Release && change.from.is_some() && change.to.is_some();
    for change in changes.iter_mut().filter(is_replaced) {
        change.note = Some(format!("replaces {}", live.id));
    }
}

/// Returns shell that waits until every health check has a result, for at most ten seconds and at most `left`. Waiting
/// on the host detects changes immediately, without repeated requests from the runner. Returns `None` if no health
/// check is pending.
#[must_use]
pub fn answers(subject: &Subject<'_>, host: &HostFacts, left: Duration) -> Option<String> {
    let script = format!(
        r#"{preamble}{ASK_ENGINE}n=0
while [ $n -lt {times} ] && [ -n "$(ask_engine "ids status=running health=starting label=com.docker.compose.project="{project})" ]; do
  n=$((n + 1))
  sleep 0.25 2>/dev/null || sleep 1
done
"#,
        preamble = subject.preamble(),
        times = (left.as_millis() / 250).min(40),
        project = quote(project(subject, host))
    );
    containers(subject, host).any(Container::is_starting).then_some(script)
}

/// Service of the live release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live<'a> {
    /// The ports that the service publishes.
    pub ports: &'a [PublishedPort],
    /// The observed state, or `None` if the service has no container.
    pub state: Option<String>,
}

/// Returns the services of the live release, also while another release is staged.
#[must_use]
pub fn live<'a>(subject: &Subject<'a>, host: &'a HostFacts) -> BTreeMap<&'a str, Live<'a>> {
    let Some(live) = host.files.begun().next() else { return BTreeMap::new() };
    let own = |container: &&Container| container.is_of(&live.project) && container.is_from_compose();
    let running = ByService::indexed(host.services.containers.iter().filter(own));
    let seen = |(name, record): (&'a String, &'a ServiceRecord)| {
        let state = running.observed(subject, host, name, record);
        (name.as_str(), Live { ports: &record.ports, state })
    };
    live.services.iter().map(seen).collect()
}

/// Returns the observed facts.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = Facts::new();
    let Some(live) = host.files.begun().next() else { return facts };
    if kept(subject, host).is_some() || digest(subject, host).is_some() {
        let pending = host.files.staged.is_some() || host.files.swapping.is_some();
        facts.insert(
            Fact::Release.to_string(),
            if pending { format!("{} pending", live.digest) } else { live.digest.clone() },
        );
    }
    let (records, running) = (records::of(subject, host), ByService::of(subject, host));
    for (name, record) in &records {
        if let Some(state) = running.observed(subject, host, name, record) {
            facts.insert(Fact::Service(name).to_string(), state);
        }
    }
    let others = running.0.keys().filter(|service| !service.is_empty() && !records.contains_key(**service));
    facts.extend(others.map(|service| (Fact::Service(service).to_string(), "not in the application".to_owned())));
    for container in claims::former_containers(subject.environment, host, project(subject, host)) {
        let state = container.state(host.access.now, subject.environment.health.stable_for);
        facts.insert(format!("{}/{}", container.project, container.service), state);
    }
    networks_and_volumes::observed(subject, host, &mut facts);
    mounted_data::facts(host, &records, &mut facts, false);
    facts.extend(volumes_left(subject, host).map(|(fact, names)| (fact, names.join(", "))));
    for check in gating(subject) {
        if let Some(found) = host.check(&check.name) {
            facts.insert(Fact::Check(&check.name).to_string(), found.clone());
        }
    }
    facts
}

/// Returns the volumes of the live release's Compose project if the next release has another project, as a fact of a
/// plan.
fn volumes_left<'a>(subject: &Subject<'a>, host: &'a HostFacts) -> Option<(String, Vec<&'a str>)> {
    let live = &host.files.begun().next()?.project;
    let names: Vec<&str> =
        host.services.left.get(live)?.iter().filter_map(|left| left.strip_prefix("volume ")).collect();
    (live != project(subject, host) && !names.is_empty()).then(|| (Fact::Volumes(live).to_string(), names))
}

fn gating<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a Check> {
    subject.environment.checks.iter().filter(|check| check.gate)
}

/// Returns the desired facts: every service in a good state. Any good state that a service is in is accepted.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = Facts::new();
    if subject.release.is_none() {
        return facts;
    }
    let kept = kept(subject, host).map(|kept| kept.digest.clone());
    if let Some(digest) = kept.or_else(|| identity(subject, host)) {
        facts.insert(Fact::Release.to_string(), digest);
    }
    networks_and_volumes::desired(subject, host, &mut facts);
    let (records, running) = (records::of(subject, host), ByService::of(subject, host));
    mounted_data::facts(host, &records, &mut facts, true);
    for (name, record) in records {
        let state = running.judge(subject, host, &name, &record);
        let wanted = record.end.unwrap_or_else(|| "running".to_owned());
        facts.insert(Fact::Service(&name).to_string(), if container::good(&state) { state } else { wanted });
    }
    facts.extend(
        gating(subject)
            .map(|check| (Fact::Check(&check.name).to_string(), crate::resource::compose::check::PASSES.to_owned())),
    );
    facts.extend(volumes_left(subject, host).map(|(fact, names)| {
        let (project, example) = (project(subject, host), names.first().copied().unwrap_or_default());
        let stay = format!("stay, and {project} begins with new ones");
        (fact, format!("{stay}, unless the Compose file names them (name: {example}, external: true)"))
    }));
    facts
}

/// Refuses a change while a restore is unfinished, unknown services in `before`, ports that another process on the host
/// holds, and files that do not fit on the disk.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    if let Some(archive) = &host.backups.restoring {
        let name = &subject.environment.name;
        let message = format!("Restoring {archive} was interrupted");
        let hint =
            format!("Run deployer restore {name} {archive} again: it starts over, and the previous data is kept");
        return Some(Failure::new(Reason::RestoreUnfinished, message).hint(hint));
    }
    if let Some(unknown) = before::unknown(subject, host) {
        return Some(unknown);
    }
    if let Some((service, path)) = host.files.staged.as_ref().and_then(|staged| staged.model.unlisted()) {
        let path = path.as_str().escape_debug();
        let message = format!("Service {service} mounts \"{path}\", whose name has control characters");
        return Some(Failure::new(Reason::ComposeInvalid, message).hint("Mount a path without control characters"));
    }
    networks_and_volumes::preflight(subject, host)
        .or_else(|| mounted_data::preflight(subject, host, host.files.newest()?, &records::of(subject, host)))
        .or_else(|| taken_ports::preflight(subject, host))
        .or_else(|| files::live_preflight(subject, host))
}

/// Refuses to start the live release's services again while data that they had is missing.
#[must_use]
pub fn restart_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let live = host.files.begun().next()?;
    mounted_data::preflight(subject, host, live, &live.services)
}

/// Refuses to bring data back to a place that is hidden while its disk is not mounted.
#[must_use]
pub fn restore_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    mounted_data::restore_preflight(subject, host)
}

/// Returns the release that did not become healthy and the last healthy release, if the latter must be restored.
#[must_use]
pub fn fallback<'a>(
    subject: &Subject<'_>,
    host: &'a HostFacts,
    reason: Reason,
) -> Option<(&'a ReleaseRecord, &'a ReleaseRecord)> {
    let its_own = matches!(reason, Reason::ServicesFailed | Reason::Unhealthy | Reason::CheckFailed);
    let (bad, good) = (host.files.swapping.as_ref()?, host.files.current.as_ref()?);
    let wanted = its_own && subject.environment.rollback == Rollback::OnFailure && bad.identity() != good.identity();
    (wanted && good.restorable()).then_some((bad, good))
}

/// Returns true if a container will not become healthy, however long the run waits.
#[must_use]
pub fn hopeless(subject: &Subject<'_>, host: &HostFacts) -> bool {
    containers(subject, host).any(Container::hopeless)
}
