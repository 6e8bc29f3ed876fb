//! Values for comparing files: modes and digests. Digests of secret content are keyed. The plain digest of a secret
//! does not leave this module.

use super::SEED;
use crate::release::sent::File;
use crate::resource::contract::record::{DigestKey, FileRecord};
use crate::resource::{HostFacts, Subject};
use camino::Utf8Path;
use data_encoding::HEXLOWER;

/// Returns mode and digest in one text, keyed if the content is secret.
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

/// Returns true if a recorded value is of this very file. A file that became secret, or is no longer secret, has a
/// digest of the other form. That alone is no change.
pub(super) fn is_of(recorded: &str, file: &File, key: &DigestKey) -> bool {
    let same = |sha256| [None, Some(key)].into_iter().any(|key| value(file.mode, &sha256, key) == recorded);
    if file.seed { recorded == SEED } else { file.sha256.is_some_and(same) }
}

/// Returns the value of a file for a release's record: the recorded value as long as the file is the same.
pub(in crate::resource) fn kept(
    subject: &Subject<'_>,
    host: &HostFacts,
    path: &Utf8Path,
    file: &File,
) -> Option<String> {
    let key = key(subject, host);
    let recorded = host.files.recorded(path).filter(|recorded| is_of(&recorded.value, file, key));
    recorded.map(|recorded| recorded.value.clone()).or_else(|| wanted(file, key))
}

/// Returns the key for the digests of this environment's secrets.
#[must_use]
pub fn key<'a>(subject: &'a Subject<'_>, host: &'a HostFacts) -> &'a DigestKey {
    host.access.key.as_ref().unwrap_or(subject.fallback_key)
}

/// Returns true if a recorded file was secret.
pub(super) fn is_keyed(record: &FileRecord) -> bool {
    record.value.contains(" keyed:")
}
