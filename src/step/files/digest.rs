//! What is compared of files and of whole releases: modes and digests, keyed where the content is secret.
//! Never lets a secret's own digest out.

use super::SEED;
use crate::application::release::File;
use crate::step::images::registry;
use crate::step::record::{self, DigestKey, FileRecord};
use crate::step::{HostFacts, Subject};
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
    let mut hasher = blake3::Hasher::new();
    let mut feed = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    feed(&application.project);
    feed(application.host_directory.as_str());
    release.compose_files.iter().for_each(|file| feed(file));
    for (path, file) in &release.files {
        feed(path.as_str());
        feed(&wanted(file, key(subject, host))?);
    }
    for archive in &release.archives {
        feed(&archive.image);
        feed(archive.ids.first()?);
    }
    for (path, owner) in &release.directories {
        feed(path.as_str());
        feed(&format!("{owner:?}"));
    }
    if !application.before.is_empty() {
        feed("before");
        application.before.iter().for_each(|service| feed(service));
    }
    Some(hasher.finalize().to_hex()[..16].to_owned())
}

/// The same, with what registries have now where that is other than what the live release runs with. What waits on the
/// host takes it as it is.
pub(in crate::step) fn identity(subject: &Subject<'_>, host: &HostFacts) -> Option<String> {
    let digest = digest(subject, host)?;
    let moved = host.files.staged.is_none() && registry::moved(subject, host);
    Some(if moved { record::identity(&digest, &registry::wanted(subject, host)) } else { digest })
}
