//! What is compared of files and of whole releases: modes and digests, keyed where the content is secret.
//! Never lets a secret's own digest out.

use super::SEED;
use crate::model::digest::Digest;
use crate::release::sent::File;
use crate::resource::contract::record::{self, DigestKey, FileRecord};
use crate::resource::images::registry;
use crate::resource::{HostFacts, Subject};
use camino::Utf8Path;
use data_encoding::HEXLOWER;

/// Mode and digest in one word, keyed where the content is secret.
pub(super) fn value(mode: u32, sha256: &[u8; 32], key: Option<&DigestKey>) -> String {
    key.map_or_else(
        || format!("{mode:04o} sha256:{}", &HEXLOWER.encode(sha256)[..32]),
        |key| format!("{mode:04o} keyed:{}", key.digest(sha256)),
    )
}

pub(super) fn wanted(file: &File, key: &DigestKey) -> Option<String> {
    if file.seed {
        return Some(SEED.to_owned());
    }
    file.sha256.map(|sha256| value(file.mode, &sha256, file.secret.then_some(key)))
}

/// Says whether a recorded value is of this very file. A file that became secret, or ceased to be, has a digest of the
/// other form: that alone is no change.
pub(super) fn is_of(recorded: &str, file: &File, key: &DigestKey) -> bool {
    let same = |sha256| [None, Some(key)].into_iter().any(|key| value(file.mode, &sha256, key) == recorded);
    if file.seed { recorded == SEED } else { file.sha256.is_some_and(same) }
}

/// The value of a file in a release's record: the one that is recorded, as long as the file is the same.
pub(super) fn kept(subject: &Subject<'_>, host: &HostFacts, path: &Utf8Path, file: &File) -> Option<String> {
    let key = key(subject, host);
    let recorded = host.files.recorded(path).filter(|recorded| is_of(&recorded.value, file, key));
    recorded.map(|recorded| recorded.value.clone()).or_else(|| wanted(file, key))
}

/// The key that digests of this environment's secrets are made with.
#[must_use]
pub fn key<'a>(subject: &'a Subject<'_>, host: &'a HostFacts) -> &'a DigestKey {
    host.access.key.as_ref().unwrap_or(subject.fallback_key)
}

/// Whether a recorded file was secret.
pub(super) fn is_keyed(record: &FileRecord) -> bool {
    record.value.contains(" keyed:")
}

/// Digest over everything a release is made from. `None` where a secret could not be resolved.
#[must_use]
pub fn digest(subject: &Subject<'_>, host: &HostFacts) -> Option<String> {
    let (release, application) = (subject.release?, subject.environment.application.as_ref()?);
    let mut digest = Digest::default();
    digest.part(&application.project).part(application.host_directory.as_str());
    for file in &release.compose_files {
        digest.part(file);
    }
    for (path, file) in &release.files {
        digest.part(path.as_str()).part(kept(subject, host, path, file)?);
    }
    for archive in &release.archives {
        digest.part(&archive.image).part(archive.ids.first()?);
    }
    for (path, owner) in &release.directories {
        digest.part(path.as_str()).part(format!("{owner:?}"));
    }
    if !application.before.is_empty() {
        digest.part("before");
    }
    for service in &application.before {
        digest.part(service);
    }
    Some(digest.finish().to_hex()[..16].to_owned())
}

/// The same, with what registries have now where that is other than what the live release runs with. What waits on the
/// host takes it as it is.
pub(in crate::resource) fn identity(subject: &Subject<'_>, host: &HostFacts) -> Option<String> {
    let digest = digest(subject, host)?;
    let moved = host.files.staged.is_none() && registry::moved(subject, host);
    Some(if moved { record::identity(&digest, &registry::wanted(subject, host)) } else { digest })
}
