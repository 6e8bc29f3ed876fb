//! Changes of the services: the switch to a staged release, the rollback to an earlier one, and the record of the
//! converged release. A service whose definition and files did not change is not stopped.

use super::ByService;
use super::before;
use super::mounted_data;
use super::networks_and_volumes;
use super::old_releases;
use super::records;
use super::start;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::release::image_name::familiar;
use crate::resource::compose::container;
use crate::resource::contract::record::{Rejected, ReleaseRecord, ServiceRecord};
use crate::resource::contract::{claims, guard};
use crate::resource::images::registry;
use crate::resource::release_identity::{kept, pulled};
use crate::resource::{Command, HostFacts, LONG, SHORT, Subject, drift, files, images, keep};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Number of rejected inputs that are remembered.
const REJECTED: usize = 20;

/// Places the staged release's files, if there is one, and lets Compose update the services. Fails if the engine does
/// not answer, because a volume of the live release may be missing: Compose would make an empty one.
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Result<Vec<Command>, Failure> {
    if host.services.unanswered {
        return Err(Failure::new(Reason::EngineFailed, "Cannot start the services: Docker does not answer"));
    }
    let Some(mut record) = wanted_record(subject, host) else {
        return Err(Failure::new(Reason::NotConverged, "The host has neither a staged nor a live release"));
    };
    let free = networks_and_volumes::renew(subject, host, &mut record);
    let waits = host.files.staged.is_some();
    // A release that must run with the newest images does not start with others.
    if let Some(uncompared) = registry::uncompared(subject, host).filter(|_| waits) {
        return Err(uncompared);
    }
    let (record, begin) = if waits {
        let begin = switch(subject, host, &record) + &free;
        (record, begin)
    } else {
        let (live, begin) = repair(subject, host, &record);
        (live, begin + &free)
    };
    let kept = drift::kept_services(subject, host);
    let mut commands: Vec<Command> = claims::commands(subject, host, &record.project).into_iter().collect();
    commands.extend(before::commands(subject, host, &record, &labels(&record), &begin));
    commands.push(up(subject, host, &record, &kept, "start the services".to_owned(), &begin));
    Ok(commands)
}

/// Returns the live release as it is started again, with its own images, and shell for the beginning of that.
fn repair(subject: &Subject<'_>, host: &HostFacts, live: &ReleaseRecord) -> (ReleaseRecord, String) {
    let record = by_id(live, host, &|id| host.images.ids.contains(id));
    let json = || serde_json::to_string(&record).unwrap_or_default();
    let is_recorded = host.files.begun().next() == Some(&record);
    let journal = if is_recorded { String::new() } else { keep("swapping.json", &json()) };
    let tags = if kept(subject, host).is_some() { tags(&record) } else { String::new() };
    (record, journal + &tags)
}

/// Restores an earlier release with its files and images, and records which inputs are not tried again. If this is
/// interrupted at any point, the next pass either tries those inputs again or continues the restore.
#[must_use]
pub fn restore(subject: &Subject<'_>, host: &HostFacts, target: &ReleaseRecord, rejected: &[Rejected]) -> Vec<Command> {
    let (reject, mut target) = (rejection(host, rejected, target), by_id(target, host, &|_| true));
    let free = networks_and_volumes::renew(subject, host, &mut target);
    let target = &target;
    let begin = switch(subject, host, target) + "rm -f \"$state/staged\"\n" + &reject + &tags(target) + &free;
    let up = up(subject, host, target, &BTreeSet::new(), format!("go back to release {}", target.id), &begin);
    claims::commands(subject, host, &target.project).into_iter().chain([up]).collect()
}

/// Lets Compose update the services to `record`, after `begin`. Services in `kept` are not changed.
fn up(
    subject: &Subject<'_>,
    host: &HostFacts,
    record: &ReleaseRecord,
    kept: &BTreeSet<String>,
    title: String,
    begin: &str,
) -> Command {
    let options = format!(
        " -f \"$state/override.json\" up -d --remove-orphans --no-build --pull never --quiet-pull{} >&2 || code=$?",
        named(record, kept),
    );
    let kept_files = files::left_to_host(subject, host);
    let run = files::as_validated(record, &options);
    let script = [
        &subject.preamble(),
        "umask 077\n",
        guard::FUNCTIONS,
        start::FUNCTIONS,
        // This runs before the switch, because a failure here is not the release's fault.
        &start::before_switch(record, host, &kept_files),
        &keep("override.json", &labels(record)),
        begin,
        // The containers of the previous project free their ports. If this or a later command is interrupted, the next
        // pass continues with the journalled release.
        &claims::leave(subject, host, &record.project, false),
        &unfinished(&record.project),
        &thaw(&record.project),
        &without(subject, host, record),
        &mounted_data::forget(subject, host),
        &start::guarded(record, host, &run),
        "[ \"$code\" = 0 ] || exit \"$code\"\n",
        &networks_and_volumes::remove_others(host, record),
    ]
    .concat();
    let limit = subject.environment.health.timeout + SHORT;
    Command { title, script, input: Input::Empty, limit, reason: Reason::ServicesFailed }
}

/// Returns the names of the services to start, if others must not be changed.
fn named(record: &ReleaseRecord, kept: &BTreeSet<String>) -> String {
    let others = record.services.keys().filter(|name| !kept.is_empty() && !kept.contains(*name));
    others.fold(String::new(), |text, name| text + " " + &quote(name))
}

/// Journals a release as the one being switched to, and places its files.
fn switch(subject: &Subject<'_>, host: &HostFacts, record: &ReleaseRecord) -> String {
    let (json, kept) = (serde_json::to_string(record).unwrap_or_default(), files::left_to_host(subject, host));
    let aside = files::set_aside(subject, record, host, &kept);
    aside + &keep("swapping.json", &json) + &files::switch(record, host, &kept)
}

/// Gives each image that the release built its name again.
fn tags(record: &ReleaseRecord) -> String {
    let built = record.services.values().filter(|service| service.build.is_some());
    built.fold(String::new(), |mut text, service| {
        if let Some(id) = service.image_id.as_deref() {
            let _ = writeln!(text, "docker tag {} {} >&2 </dev/null", quote(id), quote(&service.image));
        }
        text
    })
}

/// Returns a converged release whose services run with the images that they had. If an image's name refers to another
/// image on the host by now, its services are started by the id: other environments may use the name. `is_there` tells
/// which images can be used.
fn by_id(record: &ReleaseRecord, host: &HostFacts, is_there: &dyn Fn(&str) -> bool) -> ReleaseRecord {
    let mut record = record.clone();
    let named = |service: &ServiceRecord| service.build.is_some() || service.before || service.image.contains('@');
    for service in record.services.values_mut().filter(|service| !named(service)) {
        let Some(id) = service.image_id.as_ref() else { continue };
        let moved = images::find(host, &familiar(&service.image)) != Some(id);
        let by_id = is_there(id) && (service.by_id || moved);
        if by_id != service.by_id {
            // Compose's digest of the containers' definition includes the image.
            (service.by_id, service.hash) = (by_id, None);
        }
    }
    record
}

/// Writes the list of rejected inputs with the entries of `more` and without `accepted`.
fn rejection(host: &HostFacts, more: &[Rejected], accepted: &ReleaseRecord) -> String {
    let other = |old: &&Rejected| more.iter().all(|new| (&new.digest, &new.pulled) != (&old.digest, &old.pulled));
    let all = more.iter().chain(host.files.rejected.iter().filter(other));
    let all: Vec<&Rejected> = all.filter(|one| !one.is_of(accepted)).take(REJECTED).collect();
    keep("rejected.json", &serde_json::to_string(&all).unwrap_or_default())
}

/// Unpauses paused containers, which `up` cannot do. A container that cannot be unpaused is removed and created again.
fn thaw(project: &str) -> String {
    format!(
        r#"ask_engine "ids status=paused label=com.docker.compose.project="{project} | while read -r id; do
  docker unpause "$id" >&2 </dev/null || docker rm -f "$id" >&2 </dev/null
done
"#,
        project = quote(project)
    )
}

/// Stops the services that an earlier release had and `record` does not. Compose itself leaves the services of a
/// profile that was switched off.
fn without(subject: &Subject<'_>, host: &HostFacts, record: &ReleaseRecord) -> String {
    let had = |service: &str| host.files.begun().any(|release| release.services.contains_key(service));
    let all = super::containers(subject, host).filter(|container| container.is_of(&record.project));
    container::removal(all.filter(|one| had(&one.service) && !record.services.contains_key(&one.service)))
}

/// Finishes the work of a killed Compose. Compose creates the successor of a container under the name `ID_NAME`,
/// removes the old container, and renames the successor. The next `up` would fail on such a name.
fn unfinished(project: &str) -> String {
    format!(
        r#"[ -z "$(ask_engine "ids status=created label=com.docker.compose.project="{project})" ] ||
  docker ps -a --filter status=created --filter label=com.docker.compose.project={project} \
  --format '{{{{.ID}}}} {{{{.Names}}}}' | while read -r id name; do
  old=${{name#*_}}
  case "${{name%%_*}}" in *[!0-9a-f]* | "$name") continue ;; ????????????) ;; *) continue ;; esac
  if docker container inspect "$old" >/dev/null 2>&1; then docker rm "$id"; else docker rename "$id" "$old"; fi >&2 </dev/null
done
"#,
        project = quote(project)
    )
}

/// Returns the record of the release that must run: the staged release or, if there is none, the live one.
fn wanted_record(subject: &Subject<'_>, host: &HostFacts) -> Option<ReleaseRecord> {
    let (services, newest) = (records::of(subject, host), host.files.newest()?);
    let waits = host.files.staged.is_some();
    let pulled = if waits { pulled(subject, host, &services) } else { newest.pulled.clone() };
    Some(ReleaseRecord {
        services,
        pulled,
        objects: networks_and_volumes::wanted(subject, host).map(Cow::into_owned),
        ..newest.clone()
    })
}

/// Returns a Compose file that labels each service with the digest of the files, configs and secrets it reads. Compose
/// does not read their content, so the label makes Compose recreate the service if they change. The file also names the
/// images of services that are started by the id of their image.
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
    let settings = |service: &ServiceRecord| {
        if service.before {
            return Some(before::none());
        }
        let mut settings = serde_json::Map::new();
        let files = (!service.reads.is_empty() || service.inline.is_some()).then(|| digest(service));
        let marks = [("deployer.files", files), ("deployer.networks", service.renewed.clone())];
        let labels: BTreeMap<_, _> = marks.into_iter().filter_map(|(name, mark)| Some((name, mark?))).collect();
        if !labels.is_empty() {
            settings.insert("labels".to_owned(), serde_json::json!(labels));
        }
        if let Some(id) = service.image_id.as_ref().filter(|_| service.by_id) {
            settings.insert("image".to_owned(), serde_json::json!(id));
        }
        (!settings.is_empty()).then(|| settings.into())
    };
    let all = record.services.iter();
    let services: BTreeMap<_, _> = all.filter_map(|(name, service)| Some((name, settings(service)?))).collect();
    serde_json::json!({ "services": services }).to_string()
}

/// Records the release as converged, with the observed state of its services, and removes old releases.
#[must_use]
pub fn finish(subject: &Subject<'_>, host: &HostFacts) -> Option<Command> {
    let mut record = wanted_record(subject, host)?;
    let running = ByService::of(subject, host);
    for (name, service) in &mut record.services {
        let bare = ServiceRecord { hash: None, end: None, ..service.clone() };
        let container = running.get(name).first();
        service.end = Some(running.judge(subject, host, name, &bare));
        service.hash = container.map(|container| container.hash.clone()).filter(|hash| !hash.is_empty());
        let image = || images::find(host, &familiar(&service.image)).cloned();
        let own = container.map(|container| container.image.clone()).filter(|id| !id.is_empty());
        // A service without a container keeps its image too.
        service.image_id = own.or_else(image);
    }
    let json = serde_json::to_string(&record).unwrap_or_default();
    let ours = record.files.iter().filter(|(_, file)| file.value != files::SEED).map(|(path, _)| path);
    let accepted = host.files.rejected.iter().any(|rejected| rejected.is_of(&record));
    let script = format!(
        r#"umask 077
{current}{rejected}write_whole "$state/owned" %s {owned}
{mounted}rm -f "$state/staged" "$state/swapping.json"
cd "$state/releases"
[ ! -d {id} ] || {{ cp "$state/current.json" {id}/release.json.new; mv {id}/release.json.new {id}/release.json; }}
{old_releases}wanted() {{
  cat <<'/.'
{wanted}/.
}}
{remove}{unused}
{settle}"#,
        settle = claims::settle(subject, host, &record.project),
        remove = images::REMOVE,
        wanted = subject
            .release
            .into_iter()
            .flat_map(|release| &release.archives)
            .flat_map(|archive| &archive.ids)
            .fold(String::new(), |text, id| text + id + "\n"),
        current = keep("current.json", &json),
        rejected = if accepted { rejection(host, &[], &record) } else { String::new() },
        owned = quote(&files::lines(ours)),
        mounted = mounted_data::note(&record),
        id = quote(&record.id),
        old_releases = old_releases::remove(&record, subject.environment.keep_releases),
        unused = old_releases::UNUSED_IMAGES,
    );
    Some(Command {
        title: "record the release".to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: LONG,
        reason: Reason::UploadFailed,
    })
}
