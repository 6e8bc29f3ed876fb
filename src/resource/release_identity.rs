//! Identity of a release: the digest of its inputs, the digests that its images have at their registries, and whether
//! these inputs were rejected, so that the live release is kept.

use super::contract::record::{self, Rejected, ReleaseRecord, ServiceRecord};
use super::files::value;
use super::images::origin::{at_registry, followed, on_host};
use super::{HostFacts, Subject};
use crate::model::digest::Digest;
use std::collections::BTreeMap;

/// Returns the digest of everything that a release is made from, or `None` if a secret could not be resolved or the
/// application could not be read.
#[must_use]
pub fn digest(subject: &Subject<'_>, host: &HostFacts) -> Option<String> {
    let release = subject.release.filter(|release| !release.unread)?;
    let application = subject.environment.application.as_ref()?;
    let mut digest = Digest::default();
    digest.part(&application.project).part(application.host_directory.as_str());
    for file in &release.compose_files {
        digest.part(file);
    }
    for (path, file) in &release.files {
        digest.part(path.as_str()).part(value::kept(subject, host, path, file)?);
    }
    for archive in &release.archives {
        digest.part(&archive.image).part(archive.ids.first()?);
    }
    for (path, owner) in &release.directories {
        digest.part(path.as_str()).part(owner.in_digest());
    }
    if !application.before.is_empty() {
        digest.part("before");
    }
    for service in &application.before {
        digest.part(service);
    }
    Some(digest.finish().to_hex()[..16].to_owned())
}

/// Returns that digest, combined with the registries' current digests if they differ from those of the live
/// release. A staged release keeps the plain digest.
pub(super) fn identity(subject: &Subject<'_>, host: &HostFacts) -> Option<String> {
    let digest = digest(subject, host)?;
    let moved = host.files.staged.is_none() && moved(subject, host);
    Some(if moved { record::identity(&digest, &wanted(subject, host)) } else { digest })
}

/// Returns the rejection of the inputs that the manifest wants now. The live release is kept instead.
#[must_use]
pub fn held<'a>(subject: &Subject<'_>, host: &'a HostFacts) -> Option<&'a Rejected> {
    host.files.begun().next().filter(|_| !subject.retry)?;
    let wanted = digest(subject, host)?;
    // If the live release is the wanted one, it is not rejected, even if another was tried in between.
    if host.files.begun().next().is_some_and(|live| live.digest == wanted && !moved(subject, host)) {
        return None;
    }
    host.files.rejected.iter().find(|rejected| rejected.digest == wanted && same(host, rejected))
}

/// Returns the live release if it stays as it is: the wanted one is rejected, or not known because the application could
/// not be read.
pub(super) fn kept<'a>(subject: &Subject<'_>, host: &'a HostFacts) -> Option<&'a ReleaseRecord> {
    let unread = subject.release.is_some_and(|release| release.unread);
    host.files.begun().next().filter(|_| unread || held(subject, host).is_some())
}

/// Returns the Compose project that must run: the manifest's project, unless another release is kept.
pub(super) fn project<'a>(subject: &Subject<'a>, host: &'a HostFacts) -> &'a str {
    let wanted = || subject.environment.application.as_ref().map(|application| application.project.as_str());
    kept(subject, host).map(|record| record.project.as_str()).or_else(wanted).unwrap_or_default()
}

/// Returns the wanted digests of the live release's images: its own digests, except for images whose tag moved at the
/// registry.
#[must_use]
pub fn wanted(subject: &Subject<'_>, host: &HostFacts) -> BTreeMap<String, String> {
    let Some(live) = host.files.begun().next() else { return BTreeMap::new() };
    let mut pulled = live.pulled.clone();
    for image in followed(subject, &live.services) {
        let Some(now) = at_registry(host, &image) else { continue };
        let then = live.pulled.get(&image).map(String::as_str).or_else(|| on_host(host, &image, now));
        if then != Some(now) {
            pulled.insert(image, now.to_owned());
        }
    }
    pulled
}

/// Returns true if a registry has another image than the one that the live release runs with.
fn moved(subject: &Subject<'_>, host: &HostFacts) -> bool {
    host.files.begun().next().is_some_and(|live| wanted(subject, host) != live.pulled)
}

/// Returns the digests to which the tags of these services' images resolve, for the record of their release.
pub(super) fn pulled(
    subject: &Subject<'_>,
    host: &HostFacts,
    services: &BTreeMap<String, ServiceRecord>,
) -> BTreeMap<String, String> {
    let images = followed(subject, services).into_iter();
    images.filter_map(|image| at_registry(host, &image).map(str::to_owned).map(|digest| (image, digest))).collect()
}

/// Returns true if no registry is known to have another digest than those that a release was rejected with.
fn same(host: &HostFacts, rejected: &Rejected) -> bool {
    let same = |(image, then): (&String, &String)| at_registry(host, image).is_none_or(|now| now == then);
    rejected.pulled.iter().all(same)
}
