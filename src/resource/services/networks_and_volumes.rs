//! Networks and volumes of the release's Compose project as facts, and their changes. Compose itself keeps a network or
//! a volume whose definition changed. A network is made again; a volume is data and never is.

use super::fact::Fact;
use super::records;
use crate::model::event::Change;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::engine::UNKNOWN;
use crate::model::shell::quote;
use crate::model::state::Facts;
use crate::resource::contract::object_settings::{Object, ObjectKind, Objects, Settings, differences, is_name};
use crate::resource::contract::record::ReleaseRecord;
use crate::resource::files::staged_as_wanted;
use crate::resource::files::value::key;
use crate::resource::release_identity::project;
use crate::resource::{HostFacts, Subject};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Value of the fact of a network or a volume that is as its Compose file defines it.
pub const DEFINED: &str = "as defined";

/// Words with which the lines of [`PROBE`] begin.
pub(super) const WORDS: [&str; 4] = ["networks", "volumes", "name", "publishes"];

/// Networks and volumes of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    networks: BTreeMap<String, Object>,
    volumes: BTreeMap<String, Object>,
    /// Names of all containers of the host.
    names: BTreeSet<String>,
    /// Ports of the host that containers publish.
    published: Vec<Published>,
}

/// Port of the host that a container publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub port: u16,
    pub protocol: String,
    /// The address, or `None` if the engine names none.
    pub address: Option<IpAddr>,
    /// The name of the container.
    pub container: String,
}

impl Published {
    /// Reads `ADDRESS PORT PROTOCOL NAME`.
    fn parse(line: &str) -> Option<Self> {
        let [address, port, protocol, container] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let (port, address) = (port.parse().ok()?, address.parse().ok());
        let [protocol, container] = [protocol, container].map(str::to_owned);
        is_name(&container).then_some(Self { port, protocol, address, container })
    }
}

impl Engine {
    /// Returns the ports of the host that containers publish.
    pub(super) fn published(&self) -> &[Published] {
        &self.published
    }

    /// Reads one line of the probe: `networks`, `volumes`, `name` or `publishes`.
    pub(super) fn read(&mut self, word: &str, value: &str) {
        match word {
            "networks" => self.networks = all(value),
            "volumes" => self.volumes = all(value),
            "publishes" => self.published.extend(Published::parse(value)),
            "name" if is_name(value) => _ = self.names.insert(value.to_owned()),
            _ => {}
        }
    }
}

/// Reads a list of objects: an array, or the engine's answer with such an array.
fn all(json: &str) -> BTreeMap<String, Object> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Answer {
        Array(Vec<Object>),
        Named {
            #[serde(rename = "Volumes")]
            volumes: Option<Vec<Object>>,
        },
    }
    let objects = match serde_json::from_str(json) {
        Ok(Answer::Array(objects)) => objects,
        Ok(Answer::Named { volumes }) => volumes.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    objects.into_iter().filter(|object| is_name(&object.name)).map(|object| (object.name.clone(), object)).collect()
}

/// Shell that prints the networks and volumes of the host, and the names of all containers.
pub(super) const PROBE: &str = "  ask_engine networks volumes names || echo unanswered\n";

/// Returns the names of the networks or volumes of the host that Compose made in one of these projects.
pub fn made<'a>(
    host: &'a HostFacts,
    kind: ObjectKind,
    projects: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a str> {
    let engine = &host.services.engine;
    let all = match kind {
        ObjectKind::Network => &engine.networks,
        ObjectKind::Volume => &engine.volumes,
    };
    let ours = move |object: &&Object| {
        object.is_made_by_compose(kind) && object.project().is_some_and(|project| projects.contains(project))
    };
    all.values().filter(ours).map(|object| object.name.as_str())
}

/// Returns the networks and volumes of the staged release, unless another one is wanted by now, or else of the live
/// release. `None` for a release of a former version, which did not record them.
#[must_use]
pub fn wanted<'a>(subject: &Subject<'_>, host: &'a HostFacts) -> Option<Cow<'a, Objects>> {
    match staged_as_wanted(subject, host) {
        Some(staged) => Some(Cow::Owned(staged.model.objects(&|digest| key(subject, host).digest(&digest)))),
        None => host.files.begun().next()?.objects.as_ref().map(Cow::Borrowed),
    }
}

/// Returns how an object of the engine differs from its definition, or [`DEFINED`]. `None` if there is no such object.
fn state(kind: ObjectKind, name: &str, wanted: &Settings, subject: &Subject<'_>, host: &HostFacts) -> Option<String> {
    if host.services.unanswered {
        return None;
    }
    let engine = &host.services.engine;
    let seen = match kind {
        ObjectKind::Network => engine.networks.get(name),
        ObjectKind::Volume => engine.volumes.get(name),
    }?;
    let former = host.files.current.as_ref().and_then(|record| record.objects.as_ref());
    let former = former.and_then(|objects| objects.of(kind).get(name));
    let seen = seen.settings(kind, &|digest| key(subject, host).digest(&digest));
    let found = differences(wanted, former, &seen);
    Some(if found.is_empty() { DEFINED.to_owned() } else { found.join(", ") })
}

/// Adds the observed facts.
pub(super) fn observed(subject: &Subject<'_>, host: &HostFacts, facts: &mut Facts) {
    let Some(wanted) = wanted(subject, host) else { return };
    for (kind, name, settings) in wanted.each() {
        let unknown = host.services.unanswered.then(|| UNKNOWN.to_owned());
        if let Some(state) = unknown.or_else(|| state(kind, name, settings, subject, host)) {
            facts.insert(fact(kind, name), state);
        }
    }
}

/// Adds the desired facts.
pub(super) fn desired(subject: &Subject<'_>, host: &HostFacts, facts: &mut Facts) {
    let Some(wanted) = wanted(subject, host) else { return };
    facts.extend(wanted.each().map(|(kind, name, _)| (fact(kind, name), DEFINED.to_owned())));
}

fn fact(kind: ObjectKind, name: &str) -> String {
    match kind {
        ObjectKind::Network => Fact::Network(name).to_string(),
        ObjectKind::Volume => Fact::Volume(name).to_string(),
    }
}

/// Refuses what would lose data or cannot start: a volume that the live release had is gone, or has other options than
/// its Compose file. Refuses container names and subnets that belong to something else on the host.
pub(super) fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let wanted = wanted(subject, host)?;
    lost_volume(subject, host, &wanted)
        .or_else(|| other_volume(subject, host, &wanted))
        .or_else(|| taken(subject, host))
}

/// Refuses a release whose volume is gone. While the engine does not answer, nothing is known to be gone;
/// [`super::commands`] does not start the services then.
fn lost_volume(subject: &Subject<'_>, host: &HostFacts, wanted: &Objects) -> Option<Failure> {
    let live = host.files.current.as_ref().filter(|_| !host.services.unanswered)?;
    let had = live.objects.as_ref()?.volumes.keys();
    let gone =
        |name: &&String| !host.services.engine.volumes.contains_key(*name) && !subject.new_volumes.contains(*name);
    let name = had.filter(|name| wanted.volumes.contains_key(*name)).find(gone)?;
    let message = format!("Volume {name} of release {} does not exist any more", live.id);
    let hint = format!(
        "Bring its data back, or start with an empty volume: deployer apply {} --new-volume {name}",
        subject.environment.name
    );
    Some(Failure::new(Reason::DataMissing, message).hint(hint))
}

fn other_volume(subject: &Subject<'_>, host: &HostFacts, wanted: &Objects) -> Option<Failure> {
    let (name, found) = wanted.volumes.iter().find_map(|(name, settings)| {
        let found = state(ObjectKind::Volume, name, settings, subject, host)?;
        (found != DEFINED).then_some((name, found))
    })?;
    let message = format!(
        "Cannot start the services: volume {name} was created with other options than its Compose file has now, and \
         Docker does not change them: {found}"
    );
    let hint = format!("Restore the definition, or give the volume another name. Its data stays in {name}");
    Some(Failure::new(Reason::VolumeDiffers, message).hint(hint))
}

fn taken(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let staged = staged_as_wanted(subject, host)?;
    let engine = &host.services.engine;
    let ours = |name: &str| host.services.containers.iter().any(|one| one.name.trim_start_matches('/') == name);
    let mut names = staged.model.container_names();
    if let Some((service, name)) = names.find(|(_, name)| engine.names.contains(*name) && !ours(name)) {
        let message = format!("Service {service} has container_name {name}, and another container of the host has it");
        return Some(
            Failure::new(Reason::NameTaken, message)
                .hint(format!("Remove container_name, or that container: docker rm {name}")),
        );
    }
    let project = project(subject, host);
    let others: Vec<&Object> = engine.networks.values().filter(|other| other.project() != Some(project)).collect();
    staged.model.subnets().find_map(|(name, subnet)| {
        let meets = |other: &&&Object| {
            other.name != name && other.subnets().iter().any(|one| one.contains(&subnet) || subnet.contains(one))
        };
        let other = others.iter().find(meets)?;
        let message =
            format!("Network {name} has subnet {subnet}, which overlaps with network {} of the host", other.name);
        Some(Failure::new(Reason::NameTaken, message).hint("Choose another subnet in the Compose file"))
    })
}

/// Returns the networks that must be made again: those that differ from their definition, and missing ones to which
/// containers are still connected.
fn outdated<'a>(
    subject: &'a Subject<'_>,
    host: &'a HostFacts,
    record: &'a ReleaseRecord,
) -> impl Iterator<Item = &'a String> {
    let networks = record.objects.iter().flat_map(|objects| &objects.networks);
    let is_outdated = |(name, settings): &(&String, &Settings)| {
        let found = state(ObjectKind::Network, name, settings, subject, host);
        let is_used =
            || record.services.values().any(|service| service.hash.is_some() && service.networks.contains(name));
        found.map_or_else(is_used, |found| found != DEFINED)
    };
    networks.filter(is_outdated).map(|(name, _)| name)
}

/// Returns the services that are connected to a network, for people.
fn users(record: &ReleaseRecord, network: &str) -> String {
    let users = record.services.iter().filter(|(_, service)| service.networks.iter().any(|name| name == network));
    users.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Marks the services whose network is made again, so that Compose recreates their containers, and returns shell that
/// removes these networks. `id` names the release that does so.
pub(super) fn renew(subject: &Subject<'_>, host: &HostFacts, record: &mut ReleaseRecord) -> String {
    let networks: BTreeSet<String> = outdated(subject, host, record).cloned().collect();
    if networks.is_empty() {
        return String::new();
    }
    let id = record.id.clone();
    let connected = |name: &String| networks.contains(name);
    for service in record.services.values_mut().filter(|service| service.networks.iter().any(connected)) {
        // A second replacement during one release needs another mark.
        let again = service.renewed.as_ref() == Some(&id);
        service.renewed = if again { None } else { Some(id.clone()) };
        service.hash = None;
    }
    let list = networks.iter().map(|name| quote(name)).collect::<Vec<_>>().join(" ");
    format!("{FREE}for network in {list}; do free_network \"$network\" {} || exit 1; done\n", quote(&record.project))
}

/// Shell that removes a network of a Compose project. Its containers are disconnected, not stopped: Compose replaces
/// them. Fails if other containers use the network.
const FREE: &str = r#"free_network() {
  docker network inspect "$1" >/dev/null 2>&1 </dev/null || return 0
  docker ps -a --filter "network=$1" --format '{{.Names}} {{.Label "com.docker.compose.project"}}' </dev/null | while read -r name owner; do
    [ "$owner" != "$2" ] || continue
    echo "Cannot change network $1: container $name, which is not part of the application, uses it" >&2
    exit 1
  done || return 1
  for id in $(docker ps -aq --filter "network=$1" </dev/null); do docker network disconnect -f "$1" "$id" >&2 </dev/null || :; done
  docker network rm "$1" >&2 </dev/null
}
"#;

/// Returns shell that removes networks that Compose made for the project and `record` does not have. A network that
/// something else uses stays.
pub(super) fn remove_others(host: &HostFacts, record: &ReleaseRecord) -> String {
    let Some(objects) = &record.objects else { return String::new() };
    let own = host.services.engine.networks.iter().filter(|(_, network)| network.project() == Some(&record.project));
    let names = own.map(|(name, _)| name).filter(|name| !objects.networks.contains_key(*name));
    let names = names.map(|name| quote(name)).collect::<Vec<_>>();
    if names.is_empty() {
        String::new()
    } else {
        format!("docker network rm {} >&2 </dev/null || :\n", names.join(" "))
    }
}

/// Adds a remark for readers of the plan: which containers are replaced with a network.
pub(super) fn remark(subject: &Subject<'_>, host: &HostFacts, changes: &mut [Change]) {
    let Some(record) = host.files.newest() else { return };
    let record = ReleaseRecord { services: records::of(subject, host), ..record.clone() };
    for change in changes.iter_mut().filter(|change| change.from.as_deref().is_some_and(|from| from != UNKNOWN)) {
        if let Fact::Network(name) = Fact::of(&change.fact) {
            let users = users(&record, name);
            change.note = Some(format!("replaces the network and the containers of {users}"));
        }
    }
}
