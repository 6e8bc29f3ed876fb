//! Images: every image of the release is on the host. Images that the host already has are not pulled, built or sent
//! again.

pub mod build;
mod login;
pub(super) mod origin;
pub mod registry;

use super::contract::record::ServiceRecord;
use super::release_identity::kept;
use super::services::records;
use super::{Command, HostFacts, LONG, Subject, access};
use crate::model::checked::{self, ImageId};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::engine::{ASK_ENGINE, UNANSWERED, UNKNOWN};
use crate::model::shell::quote;
use crate::model::state::Facts;
use crate::release::image_name::{self, familiar};
use crate::release::sent::Archive;
use camino::{Utf8Path, Utf8PathBuf};
use login::{logins, with_login};
use origin::{Origin, origins};
use std::collections::{BTreeMap, BTreeSet};

/// Images that the engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Image name → id, as the engine lists them.
    pub here: BTreeMap<String, String>,
    /// The ids of all images, also of those without a name.
    pub ids: BTreeSet<String>,
    /// Digest of a build's inputs → id of the image, for the built images that still exist.
    pub built: BTreeMap<String, String>,
    /// True if the engine did not answer, so that its images are not known.
    pub unanswered: bool,
    /// Names under which releases brought images to the host, up to a limit.
    pub brought: BTreeSet<String>,
}

/// Limit of the number of names in [`Seen::brought`].
const MOST_BROUGHT: usize = 1_000;

/// Returns the shell that reads the engine's images. A removal needs only the names of those that releases brought.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let unless_brought = if subject.release.is_some() { "" } else { "[ -e \"$state/images\" ] || exit 0\n" };
    let brought = format!("[ ! -e \"$state/images\" ] || sed -n '1,{MOST_BROUGHT}s/^/brought /p' \"$state/images\"\n");
    unless_brought.to_owned()
        + &brought
        + "command -v docker >/dev/null || exit 0\n"
        + ASK_ENGINE
        + "ask_engine images || echo unanswered\n\
     [ ! -e \"$state/built\" ] || sed 's/^/built /' \"$state/built\""
}

/// Reads the engine's list, each image under its tag and under its digest, and the list of built images.
#[must_use]
pub fn parse(output: &[u8]) -> Seen {
    let mut seen = Seen::default();
    for line in String::from_utf8_lossy(output).lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [repository, tag, digest, id] if ImageId::parse(id).is_some() => {
                seen.ids.insert(id.to_owned());
                let names = [(tag != "<none>").then(|| format!("{repository}:{tag}")), digested(repository, digest)];
                let names = names.into_iter().flatten().filter(|name| checked::is_image(name));
                seen.here.extend(names.map(|name| (name, id.to_owned())));
            }
            [UNANSWERED] => seen.unanswered = true,
            ["brought", name] if checked::is_image(name) => _ = seen.brought.insert(name.to_owned()),
            ["built", digest, id] if checked::is_hex(digest) => _ = seen.built.insert(digest.to_owned(), id.to_owned()),
            _ => {}
        }
    }
    let Seen { built, ids, .. } = &mut seen;
    built.retain(|_, id| ids.contains(id));
    seen
}

/// Returns the name of an image by its digest at its registry, if it has one.
fn digested(repository: &str, digest: &str) -> Option<String> {
    ImageId::parse(digest).map(|digest| format!("{repository}@{digest}"))
}

/// Returns the archives of the wanted release, or none if that release is rejected.
fn archives<'a>(subject: &Subject<'a>, host: &HostFacts) -> &'a [Archive] {
    let release = subject.release.filter(|_| kept(subject, host).is_none());
    release.map_or(&[], |release| &release.archives)
}

/// Wanted image.
struct Wanted<'a> {
    origin: Origin<'a>,
    /// The digest at its registry, if the image follows its tag.
    digest: Option<&'a str>,
    /// True if the services of a kept release that use the image are started by its id, and the host has it. Its name
    /// then belongs to another image, or to none.
    by_id: bool,
}

fn is_by_id(host: &HostFacts, services: &BTreeMap<String, ServiceRecord>, image: &str) -> bool {
    let mut users = services.values().filter(|service| familiar(&service.image) == image).peekable();
    let is_there = |id: &String| host.images.ids.contains(id);
    users.peek().is_some() && users.all(|user| user.by_id && user.image_id.as_ref().is_some_and(is_there))
}

fn wanted<'a>(
    subject: &Subject<'a>,
    host: &'a HostFacts,
    services: &'a BTreeMap<String, ServiceRecord>,
) -> BTreeMap<String, Wanted<'a>> {
    // A release that is kept instead of the wanted one runs with the images that it has.
    let kept = kept(subject, host).is_some();
    let followed = if kept { BTreeSet::new() } else { origin::followed(subject, services) };
    let of = |(image, origin): (String, Origin<'a>)| {
        let digest = origin::at_registry(host, &image).filter(|_| followed.contains(&image));
        let by_id = kept && is_by_id(host, services, &image);
        (image, Wanted { origin, digest, by_id })
    };
    origins(services, archives(subject, host)).into_iter().map(of).collect()
}

const PRESENT: &str = "present";

impl Wanted<'_> {
    /// Returns the desired value of the fact.
    fn desired(&self) -> String {
        match (&self.origin, self.digest) {
            (Origin::Archive(archive), _) => archive.ids.first().cloned().unwrap_or_default(),
            (Origin::Build { digest, .. }, _) => built(digest),
            (Origin::Registry, digest) => digest.unwrap_or(PRESENT).to_owned(),
        }
    }

    /// Returns the observed value of the fact. Any id that the engine may give an archive's image is mapped to the
    /// archive's own.
    fn observed(&self, host: &HostFacts, image: &str) -> Option<String> {
        if host.images.unanswered {
            return Some(UNKNOWN.to_owned());
        }
        if self.by_id {
            return Some(self.desired());
        }
        let id = find(host, image)?;
        Some(match (&self.origin, self.digest) {
            (Origin::Archive(archive), _) => {
                let same = archive.ids.contains(id);
                if same { archive.ids.first().unwrap_or(id) } else { id }.clone()
            }
            (Origin::Build { digest, .. }, _) => {
                let from = |(_, other): &(&String, &String)| *other == id;
                let any = || host.images.built.iter().find(from).map(|(digest, _)| digest.as_str());
                let own = Some(*digest).filter(|digest| host.images.built.get(*digest) == Some(id));
                own.or_else(any).map_or_else(|| PRESENT.to_owned(), built)
            }
            (Origin::Registry, Some(digest)) => origin::on_host(host, image, digest).unwrap_or(PRESENT).to_owned(),
            (Origin::Registry, None) => PRESENT.to_owned(),
        })
    }

    fn missing(&self, host: &HostFacts, image: &str) -> bool {
        self.observed(host, image) != Some(self.desired())
    }
}

fn built(digest: &str) -> String {
    format!("built from {digest}")
}

/// Returns the desired facts.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let services = records::of(subject, host);
    wanted(subject, host, &services).iter().map(|(image, wanted)| (image.clone(), wanted.desired())).collect()
}

/// Returns the observed facts.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let services = records::of(subject, host);
    let wanted = wanted(subject, host, &services);
    wanted.iter().filter_map(|(image, wanted)| Some((image.clone(), wanted.observed(host, image)?))).collect()
}

pub(super) fn find<'a>(host: &'a HostFacts, image: &str) -> Option<&'a String> {
    let without_tag = image.split_once('@').map(|(name, digest)| {
        let base = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(base, _)| base);
        format!("{base}@{digest}")
    });
    host.images.here.get(without_tag.as_deref().unwrap_or(image))
}

/// Refuses archives for another processor architecture or larger than the free disk space, and builds that read files
/// outside the release.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let services = records::of(subject, host);
    let archive = |(image, wanted): (&String, &Wanted<'_>)| match wanted.origin {
        Origin::Archive(archive) if wanted.missing(host, image) => Some(archive.clone()),
        _ => None,
    };
    let missing: Vec<Archive> = wanted(subject, host, &services).iter().filter_map(archive).collect();
    let ours = &host.access.architecture;
    if let Some(other) = missing.iter().find(|archive| archive.architecture != *ours) {
        let message = format!("{} is built for {}; the host is {ours}", other.image, other.architecture);
        return Some(Failure::new(Reason::ArchitectureMismatch, message));
    }
    // The engine unpacks while it receives: the archive's size and some spare space.
    let needed = missing.iter().map(|archive| archive.bytes).sum::<u64>() + (64 << 20);
    let room = || access::crowded("/var/lib/docker", host.access.room.engine, needed, "the images need");
    let lacks = !missing.is_empty() && !host.images.unanswered;
    build::refused(host).or_else(|| room().filter(|_| lacks))
}

/// Loads the archives that the host lacks, pulls images that are missing or moved, then builds.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    let services = records::of(subject, host);
    let (mut loads, mut pulls, mut builds) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (image, wanted) in wanted(subject, host, &services) {
        if !wanted.missing(host, &image) {
            continue;
        }
        match wanted.origin {
            Origin::Archive(archive) => loads.push(load(subject, &image, archive)),
            Origin::Registry => pulls.push(pull(subject, host, &image, wanted.digest)),
            Origin::Build { service, digest } => _ = builds.insert(image, (service.to_owned(), digest.to_owned())),
        }
    }
    loads.into_iter().chain(pulls).chain(build::commands(subject, host, &builds)).collect()
}

/// Shell functions that remove images, except images that other environments of the host need.
pub const REMOVE: &str = include_str!("remove.sh");

/// Returns shell that records an image as brought by us.
fn brought(image: &str) -> String {
    format!(
        "\nprintf '%s\\n' {image} >> \"$state/images\"\ndocker image inspect -f '{{{{.Id}}}}' -- {image} >> \"$state/brought\"",
        image = quote(image)
    )
}

fn load(subject: &Subject<'_>, image: &str, archive: &Archive) -> Command {
    Command {
        title: format!("send image {image}"),
        script: format!("{}docker load -q >&2{}", subject.preamble(), brought(image)),
        input: Input::File(archive.path.clone()),
        limit: LONG,
        reason: Reason::ImageUnavailable,
    }
}

/// Pulls an image by its tag or, if its registry was asked, by the digest that the registry returned.
fn pull(subject: &Subject<'_>, host: &HostFacts, image: &str, digest: Option<&str>) -> Command {
    let exact = digest.map(|digest| origin::by_digest(image, digest));
    let there = exact.as_ref().is_some_and(|exact| host.images.here.contains_key(exact));
    let login = subject
        .release
        .filter(|_| !there)
        .and_then(|release| logins(release, &[image_name::registry(image).to_owned()]));
    let name = quote(exact.as_deref().unwrap_or(image));
    let from = if login.is_some() { "docker --config \"$config\"" } else { "docker" };
    let pull = format!("{from} pull -q -- {name} >&2 </dev/null");
    let pull = if login.is_some() { with_login(&pull) } else { pull };
    let tag = exact.as_ref().map(|_| format!("docker tag {name} {}", quote(image)));
    let script: Vec<String> = Some(pull).filter(|_| !there).into_iter().chain(tag).collect();
    Command {
        title: format!("pull image {image}"),
        script: subject.preamble() + &script.join("\n") + &brought(image),
        input: login.map_or(Input::Empty, |login| Input::Bytes(login.into())),
        limit: LONG,
        reason: Reason::ImageUnavailable,
    }
}

/// Returns true if a changed file may change the definitions of the services.
#[must_use]
pub fn redefines(subject: &Subject<'_>, changed: &BTreeSet<String>) -> bool {
    let compose = subject.release.into_iter().flat_map(|release| &release.compose_files);
    compose.into_iter().any(|file| changed.contains(file)) || changed.contains(".env")
}

/// Returns true if a changed file may change which images are needed, or the inputs of their builds.
#[must_use]
pub fn follows(subject: &Subject<'_>, changed: &BTreeSet<String>) -> bool {
    let places: Vec<&Utf8PathBuf> = subject.release.into_iter().flat_map(|release| &release.builds).collect();
    let built = |path: &String| places.iter().any(|place| Utf8Path::new(path).starts_with(place));
    redefines(subject, changed) || changed.iter().any(built)
}
