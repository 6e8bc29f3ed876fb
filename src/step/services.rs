//! Services: the release's files are live, its services run as defined, are healthy, and the checks of
//! the manifest pass. Never restarts a service whose definition and files did not change.

pub use super::model::Model;
use super::record::{ReleaseRecord, ServiceRecord};
use super::{Command, HostFacts, LONG, SHORT, Subject, access, container, drift, files, keep};
use crate::failure::{Failure, Reason};
use crate::host::Input;
use crate::manifest::environment::Check;
use crate::shell::quote;
use crate::state::Facts;
use camino::Utf8Path;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The fact that names the live release.
pub const RELEASE: &str = "release";

/// What runs on the host.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Containers of the Compose project.
    pub containers: Vec<container::Container>,
    /// Ports that something listens on, as (port, protocol).
    pub listening: BTreeSet<(u16, String)>,
    /// Check name → `passes`, or what was found.
    pub checks: BTreeMap<String, String>,
}

/// The shell that reads it.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let Some(compose) = &subject.environment.application else { return String::new() };
    let mut script = format!(
        r#"for protocol in tcp tcp6 udp udp6; do
  while read -r _ local _ state _; do
    case "$protocol $state" in tcp*0A|udp*07) echo "listening $protocol ${{local##*:}}";; esac
  done < /proc/net/$protocol
done
if command -v docker >/dev/null; then
  ids=$(timeout 20 docker ps -aq --no-trunc --filter label=com.docker.compose.project={})
  [ -z "$ids" ] || timeout 20 docker inspect --format {} $ids
fi
"#,
        quote(&compose.project),
        quote(container::FORMAT),
    );
    script += &crate::check::probe(&subject.environment.checks);
    script
}

/// Reads the probe's lines.
pub fn parse(output: &[u8]) -> Result<Seen, String> {
    let text = String::from_utf8_lossy(output);
    let mut seen = Seen::default();
    for line in text.lines() {
        if let Some(listening) = line.strip_prefix("listening ") {
            let Some((protocol, port)) = listening.split_once(' ') else { continue };
            let port = u16::from_str_radix(port, 16).map_err(|_| format!("a port is `{port}`"))?;
            seen.listening.insert((port, protocol.trim_end_matches('6').to_owned()));
        } else if let Some(check) = line.strip_prefix("check ") {
            if let Some((found, name)) = crate::check::parse(check) {
                seen.checks.insert(name, found);
            }
        } else if line.starts_with('{') {
            seen.containers.extend(container::parse(line));
        }
    }
    Ok(seen)
}

/// The services of the release that waits or, where none does, that is live.
#[must_use]
pub fn records(subject: &Subject<'_>, host: &HostFacts) -> BTreeMap<String, ServiceRecord> {
    let live = || host.files.current.as_ref().map(|record| record.services.clone()).unwrap_or_default();
    host.files.staged.as_ref().map_or_else(live, |staged| staged_records(subject, host, staged))
}

fn staged_records(subject: &Subject<'_>, host: &HostFacts, staged: &files::Staged) -> BTreeMap<String, ServiceRecord> {
    let record = &staged.record;
    // Compose resolved relative paths below the staging directory.
    let tree = format!("{}/releases/{}/tree", subject.state_directory(), record.id);
    let roots = [Utf8Path::new(&tree), Utf8Path::new(&record.directory)];
    let keyed = |digest| files::key(subject, host).digest(&digest);
    let variable = |name: &str| subject.release.and_then(|release| release.variable(name));
    staged.model.records(&roots, &record.files.keys(), &variable, &keyed)
}

/// The facts as they are.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = Facts::new();
    let Some(live) = host.files.begun().next() else { return facts };
    if files::digest(subject, host).is_some() {
        let pending = host.files.staged.is_some() || host.files.swapping.is_some();
        facts
            .insert(RELEASE.to_owned(), if pending { format!("{} pending", live.digest) } else { live.digest.clone() });
    }
    let records = records(subject, host);
    for (name, record) in &records {
        let state = judge(subject, host, name, record);
        if state != "missing" {
            facts.insert(name.clone(), state);
        }
    }
    let others = host.services.containers.iter().filter(|container| !records.contains_key(&container.service));
    for other in others.filter(|container| !container.service.is_empty()) {
        facts.insert(other.service.clone(), "not in the application".to_owned());
    }
    for check in gating(subject) {
        if let Some(found) = host.services.checks.get(&check.name) {
            facts.insert(format!("check {}", check.name), found.clone());
        }
    }
    facts
}

fn judge(subject: &Subject<'_>, host: &HostFacts, name: &str, record: &ServiceRecord) -> String {
    let containers: Vec<_> = host.services.containers.iter().filter(|container| container.service == name).collect();
    container::judge(record, &containers, host.access.now, subject.environment.health.stable_for)
}

fn gating<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a Check> {
    subject.environment.checks.iter().filter(|check| check.gate)
}

/// The facts as they are to be: every service in a good state, whichever it is.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = Facts::new();
    if subject.release.is_none() {
        return facts;
    }
    if let Some(digest) = files::digest(subject, host) {
        facts.insert(RELEASE.to_owned(), digest);
    }
    for (name, record) in records(subject, host) {
        let state = judge(subject, host, &name, &record);
        let wanted = record.end.unwrap_or_else(|| "running".to_owned());
        facts.insert(name, if container::good(&state) { state } else { wanted });
    }
    facts.extend(gating(subject).map(|check| (format!("check {}", check.name), crate::check::PASSES.to_owned())));
    facts
}

/// Refuses ports that something else on the host holds, and files that find no room.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let ours: BTreeSet<(u16, &str)> = host.services.containers.iter().flat_map(container::Container::ports).collect();
    let records = records(subject, host);
    let taken = records.iter().find_map(|(service, record)| {
        let port = record.ports.iter().find(|port| {
            host.services.listening.contains(&(port.port, port.protocol.clone()))
                && !ours.contains(&(port.port, port.protocol.as_str()))
        })?;
        Some((service, port))
    });
    let taken = taken.map(|(service, port)| {
        let message =
            format!("Port {}/{} of service {service} is used by something else on the host", port.port, port.protocol);
        Failure::new(Reason::PortTaken, message)
    });
    taken.or_else(|| files::live_preflight(subject, host))
}

/// Puts the staged release's files in place, if one waits, and lets Compose bring the services to it.
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Result<Vec<Command>, Failure> {
    let Some(record) = wanted_record(subject, host) else {
        return Err(Failure::new(Reason::NotConverged, "No release waits on the host and none is live"));
    };
    let mut script = subject.preamble() + "umask 077\n" + &keep("override.json", &labels(&record));
    if host.files.staged.is_some() {
        let json = serde_json::to_string(&record).unwrap_or_default();
        script += &keep("swapping.json", &json);
        script += &files::switch(&record, host, &drift::kept_files(subject, host));
        let _ = writeln!(script, "printf '%s\\n' {} > \"$app/.deployer\"", quote(&access::marker_of(subject, false)));
    }
    let up = format!(
        "{unfinished}cd \"$app\"\n{compose} -f \"$state/override.json\" unpause >/dev/null 2>&1 </dev/null || true\n\
         {compose} -f \"$state/override.json\" up -d --remove-orphans --no-build --pull never --quiet-pull{named} >&2 </dev/null\n",
        unfinished = unfinished(&record.project),
        compose = files::compose(&record.project, "\"$app\"", &record.compose_files),
        named = named(&record, &drift::kept_services(subject, host)),
    );
    let limit = subject.environment.health.timeout + SHORT;
    Ok(vec![Command {
        title: "start the services".to_owned(),
        script: script + &up,
        input: Input::Empty,
        limit,
        reason: Reason::ServicesFailed,
    }])
}

/// The services to be started by name, where some are to be left as they are.
fn named(record: &ReleaseRecord, kept: &BTreeSet<String>) -> String {
    let others = record.services.keys().filter(|name| !kept.is_empty() && !kept.contains(*name));
    others.fold(String::new(), |text, name| text + " " + &quote(name))
}

/// Finishes what a Compose that was killed left half done. It makes the successor of a container under the name
/// `ID_NAME`, removes the old one, and renames: the next `up` would stumble over such a name.
fn unfinished(project: &str) -> String {
    format!(
        r#"docker ps -a --filter status=created --filter label=com.docker.compose.project={project} \
  --format '{{{{.ID}}}} {{{{.Names}}}}' | while read -r id name; do
  old=${{name#*_}}
  case "${{name%%_*}}" in *[!0-9a-f]* | "$name") continue ;; ????????????) ;; *) continue ;; esac
  if docker container inspect "$old" >/dev/null 2>&1; then docker rm "$id"; else docker rename "$id" "$old"; fi >&2 </dev/null
done
"#,
        project = quote(project)
    )
}

/// The record of the release that is to run: the staged one, else the live one.
fn wanted_record(subject: &Subject<'_>, host: &HostFacts) -> Option<ReleaseRecord> {
    let services = records(subject, host);
    Some(ReleaseRecord { services, ..host.files.newest()?.clone() })
}

/// A Compose file that labels each service with the digest of the files, configs and secrets it reads, so that
/// Compose, which does not look into them, recreates it when they change.
fn labels(record: &ReleaseRecord) -> String {
    let digest = |service: &ServiceRecord| {
        let mut hasher = blake3::Hasher::new();
        for path in &service.reads {
            let file = record.files.get(path);
            let (value, placed) = file.map_or(("", ""), |file| (file.value.as_str(), file.placed.as_str()));
            hasher.update(format!("{path}\0{value}\0{placed}\0").as_bytes());
        }
        hasher.update(service.inline.as_deref().unwrap_or_default().as_bytes());
        hasher.finalize().to_hex()[..16].to_owned()
    };
    let services: BTreeMap<_, _> = record
        .services
        .iter()
        .filter(|(_, service)| !service.reads.is_empty() || service.inline.is_some())
        .map(|(name, service)| (name, serde_json::json!({ "labels": { "deployer.files": digest(service) } })))
        .collect();
    serde_json::json!({ "services": services }).to_string()
}

/// Whether all is as wanted but for the record, which [`finish`] writes.
#[must_use]
pub fn settled(observed: &Facts, desired: &Facts) -> bool {
    desired.iter().all(|(fact, value)| fact == RELEASE || observed.get(fact) == Some(value))
        && observed.keys().all(|fact| desired.contains_key(fact))
}

/// Containers that will not become healthy however long one waits.
#[must_use]
pub fn hopeless(host: &HostFacts) -> bool {
    host.services.containers.iter().any(container::Container::hopeless)
}

/// Records the release as converged, with what was observed of its services, and lets old ones go.
#[must_use]
pub fn finish(subject: &Subject<'_>, host: &HostFacts) -> Option<Command> {
    let mut record = wanted_record(subject, host)?;
    for (name, service) in &mut record.services {
        let state = container_state(subject, host, name, service);
        let hash = host.services.containers.iter().find(|container| container.service == *name);
        service.end = Some(state);
        service.hash = hash.map(|container| container.hash.clone()).filter(|hash| !hash.is_empty());
    }
    let json = serde_json::to_string(&record).unwrap_or_default();
    let ours = record.files.iter().filter(|(_, file)| file.value != files::SEED).map(|(path, _)| path);
    let owned = files::lines(ours);
    let script = format!(
        r#"umask 077
{}cat > "$state/owned" <<'/.'
{owned}/.
rm -f "$state/staged" "$state/swapping.json"
cd "$state/releases"
ls | sort -r | tail -n +6 | grep -vxF -- {} | while IFS= read -r old; do rm -rf -- "$old"; done || true"#,
        keep("current.json", &json),
        quote(&record.id),
    );
    Some(Command {
        title: "record the release".to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: LONG,
        reason: Reason::UploadFailed,
    })
}

fn container_state(subject: &Subject<'_>, host: &HostFacts, name: &str, record: &ServiceRecord) -> String {
    judge(subject, host, name, &ServiceRecord { hash: None, end: None, ..record.clone() })
}
