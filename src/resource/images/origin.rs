//! Origins of images, and the digests of the tags that images follow at their registries.

use crate::manifest::environment::Pull;
use crate::release::image_name::familiar;
use crate::release::sent::Archive;
use crate::resource::contract::record::ServiceRecord;
use crate::resource::{HostFacts, Subject};
use std::collections::{BTreeMap, BTreeSet};

/// Origin of an image.
pub(super) enum Origin<'a> {
    /// Archive on this machine.
    Archive(&'a Archive),
    /// Build on the host for this service, from inputs with this digest.
    Build { service: &'a str, digest: &'a str },
    /// The image's registry.
    Registry,
}

/// Returns the origins of the services' images, as far as Compose resolved them, and of the archives' images.
pub(super) fn origins<'a>(
    services: &'a BTreeMap<String, ServiceRecord>,
    archives: &'a [Archive],
) -> BTreeMap<String, Origin<'a>> {
    let mut origins = BTreeMap::new();
    for (service, record) in services.iter().filter(|(_, service)| !service.image.is_empty()) {
        match &record.build {
            Some(digest) => _ = origins.insert(familiar(&record.image), Origin::Build { service, digest }),
            None => _ = origins.entry(familiar(&record.image)).or_insert(Origin::Registry),
        }
    }
    origins.extend(archives.iter().map(|archive| (familiar(&archive.image), Origin::Archive(archive))));
    origins
}

/// Returns the images of services that follow their tag at a registry.
pub(in crate::resource) fn followed(
    subject: &Subject<'_>,
    services: &BTreeMap<String, ServiceRecord>,
) -> BTreeSet<String> {
    let Some(release) = subject.release.filter(|_| always(subject)) else { return BTreeSet::new() };
    let origins = origins(services, &release.archives).into_iter();
    origins
        .filter(|(image, origin)| matches!(origin, Origin::Registry) && tagged(image))
        .map(|(name, _)| name)
        .collect()
}

pub(super) fn always(subject: &Subject<'_>) -> bool {
    subject.environment.application.as_ref().is_some_and(|application| application.pull == Pull::Always)
}

fn tagged(image: &str) -> bool {
    image.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:".contains(c))
}

/// Returns the registry digest of the image that a tag refers to on the host: `like`, if the image has several digests.
pub(in crate::resource) fn on_host<'a>(host: &'a HostFacts, image: &str, like: &'a str) -> Option<&'a str> {
    let id = host.images.here.get(image)?;
    if host.images.here.get(&by_digest(image, like)) == Some(id) {
        return Some(like);
    }
    let same = |(name, other): (&'a String, &String)| {
        let digest = name.strip_prefix(repository(image))?.strip_prefix('@')?;
        (other == id).then_some(digest)
    };
    host.images.here.iter().find_map(same)
}

/// Returns `REPOSITORY@DIGEST` of an image with a tag.
pub(super) fn by_digest(image: &str, digest: &str) -> String {
    format!("{}@{digest}", repository(image))
}

fn repository(image: &str) -> &str {
    image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(image, |(repository, _)| repository)
}

/// Returns the digest that an image's tag has at its registry, if it is known.
pub(in crate::resource) fn at_registry<'a>(host: &'a HostFacts, image: &str) -> Option<&'a str> {
    host.outside.registry.get(image)?.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_takes_the_place_of_a_tag() {
        for (image, expected) in
            [("demo:1", "demo@d"), ("host:5000/demo:1", "host:5000/demo@d"), ("host:5000/a", "host:5000/a@d")]
        {
            assert_eq!(by_digest(image, "d"), expected);
        }
    }
}
