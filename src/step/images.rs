//! Images: every image of the release is on the host. Never pulls what is there, never sends an archive
//! whose image the host already has.

use super::{Command, HostFacts, LONG, Subject, access, files, services};
use crate::application::image_name::{familiar, registry};
use crate::application::release::Archive;
use crate::failure::{Failure, Reason};
use crate::host::Input;
use crate::shell::quote;
use crate::state::Facts;
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};

/// Image name → id, as the engine lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(pub BTreeMap<String, String>);

/// The shell that reads it.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    if subject.release.is_none() {
        return String::new();
    }
    "command -v docker >/dev/null || exit 0\n\
     timeout 20 docker image ls --no-trunc --digests --format '{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}'"
        .to_owned()
}

/// Reads the engine's list: each image under its tag and under its digest.
#[must_use]
pub fn parse(output: &[u8]) -> Seen {
    let mut images = BTreeMap::new();
    for line in String::from_utf8_lossy(output).lines() {
        let [repository, tag, digest, id] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
        if tag != "<none>" {
            images.insert(format!("{repository}:{tag}"), id.to_owned());
        }
        if digest != "<none>" {
            images.insert(format!("{repository}@{digest}"), id.to_owned());
        }
    }
    Seen(images)
}

/// The images that the application's services name, as far as Compose resolved them.
fn named(subject: &Subject<'_>, host: &HostFacts) -> BTreeSet<String> {
    let records = services::records(subject, host);
    records.values().filter(|service| !service.image.is_empty()).map(|service| familiar(&service.image)).collect()
}

/// The archives that the wanted release brings; none of those of a release that is held back.
fn archives<'a>(subject: &Subject<'a>, host: &HostFacts) -> &'a [Archive] {
    let release = subject.release.filter(|_| files::held(subject, host).is_none());
    release.map_or(&[], |release| &release.archives)
}

/// The facts as they are to be.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts: Facts = named(subject, host).into_iter().map(|image| (image, "present".to_owned())).collect();
    for archive in archives(subject, host) {
        facts.insert(familiar(&archive.image), archive.ids.first().cloned().unwrap_or_default());
    }
    facts
}

/// The facts as they are. An id that the engine may give an archive's image reads as the archive's own.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = Facts::new();
    for image in named(subject, host) {
        if find(host, &image).is_some() {
            facts.insert(image, "present".to_owned());
        }
    }
    for archive in archives(subject, host) {
        let name = familiar(&archive.image);
        facts.remove(&name);
        if let Some(id) = find(host, &name) {
            let same = archive.ids.iter().any(|known| known == id);
            let value = if same { archive.ids.first().unwrap_or(id) } else { id };
            facts.insert(name, value.clone());
        }
    }
    facts
}

pub(super) fn find<'a>(host: &'a HostFacts, image: &str) -> Option<&'a String> {
    let without_tag = image.split_once('@').map(|(name, digest)| {
        let base = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(base, _)| base);
        format!("{base}@{digest}")
    });
    host.images.0.get(without_tag.as_deref().unwrap_or(image))
}

fn missing<'a>(subject: &Subject<'a>, host: &HostFacts) -> Vec<&'a Archive> {
    let (facts, wanted) = (observed(subject, host), desired(subject, host));
    let differs = |archive: &&Archive| {
        let name = familiar(&archive.image);
        facts.get(&name) != wanted.get(&name)
    };
    archives(subject, host).iter().filter(differs).collect()
}

/// Refuses archives for another processor, or larger than the disk.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let missing = missing(subject, host);
    let ours = &host.access.architecture;
    if let Some(other) = missing.iter().find(|archive| archive.architecture != *ours) {
        let message = format!("{} is built for {}; the host is {ours}", other.image, other.architecture);
        return Some(Failure::new(Reason::ArchitectureMismatch, message));
    }
    // The engine unpacks while it receives: the archive's size and some room to run in.
    let needed = missing.iter().map(|archive| archive.bytes).sum::<u64>() + (64 << 20);
    if missing.is_empty() {
        return None;
    }
    access::crowded("/var/lib/docker", host.access.room.engine, needed, "the images need")
}

/// Loads the archives that the host lacks, then lets Compose pull what is still missing.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    let brought = |image: &str| {
        format!(
            "\nprintf '%s\\n' {image} >> \"$state/images\"\ndocker image inspect -f '{{{{.Id}}}}' -- {image} >> \"$state/brought\"",
            image = quote(image)
        )
    };
    let mut commands: Vec<Command> = Vec::new();
    for archive in missing(subject, host) {
        let image = familiar(&archive.image);
        commands.push(Command {
            title: format!("send image {image}"),
            script: format!("{}docker load -q >&2{}", subject.preamble(), brought(&image)),
            input: Input::File(archive.path.clone()),
            limit: LONG,
            reason: Reason::ImageUnavailable,
        });
    }
    let archived: BTreeSet<String> = archives(subject, host).iter().map(|archive| familiar(&archive.image)).collect();
    let absent: Vec<String> = named(subject, host)
        .into_iter()
        .filter(|image| !archived.contains(image) && find(host, image).is_none())
        .collect();
    for image in absent {
        let login = login(subject, &image);
        commands.push(Command {
            title: format!("pull image {image}"),
            script: subject.preamble() + &pull(&image, login.is_some()) + &brought(&image),
            input: login.map_or(Input::Empty, Input::Bytes),
            limit: LONG,
            reason: Reason::ImageUnavailable,
        });
    }
    commands
}

/// Shell that pulls an image. With a login, its client has a configuration of its own, read from standard input and
/// kept in memory for as long as the pull takes.
fn pull(image: &str, login: bool) -> String {
    let image = quote(image);
    if !login {
        return format!("docker pull -q -- {image} >&2 </dev/null");
    }
    format!(
        r#"(
umask 077
config=$(mktemp -d /run/deployer.XXXXXX)
trap 'rm -rf "$config"' EXIT
trap 'exit 143' HUP INT TERM
cat > "$config/config.json"
docker --config "$config" pull -q -- {image} >&2 </dev/null
)"#
    )
}

/// The client's configuration for the registry of an image, where the manifest has a login for it.
fn login(subject: &Subject<'_>, image: &str) -> Option<Vec<u8>> {
    let host = registry(image);
    let login = subject.release?.logins.get(host)?;
    // Source: the Docker client's configuration file; this is how it calls its own registry.
    let name = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
    let entry = serde_json::json!({ "username": login.username, "password": login.password.expose_secret() });
    Some(serde_json::json!({ "auths": { name: entry } }).to_string().into_bytes())
}

/// Whether a changed file may change which images are needed.
#[must_use]
pub fn follows(subject: &Subject<'_>, changed: &BTreeSet<String>) -> bool {
    let compose = subject.release.into_iter().flat_map(|release| &release.compose_files);
    compose.into_iter().any(|file| changed.contains(file)) || changed.contains(".env")
}
