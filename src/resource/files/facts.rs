//! Facts about files: each path of the release with its value.

use super::SEED;
use super::on_host::{Obstacle, OnHost};
use super::value::{is_keyed, is_of, key, wanted};
use crate::model::state::{Facts, Kind};
use crate::release::sent::File;
use crate::resource::contract::record::{FileRecord, ReleaseRecord};
use crate::resource::release_identity::{identity, kept};
use crate::resource::{HostFacts, Subject};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// Name of the fact that another release is wanted. No file has such a path.
const RELEASE: &str = "release/";
/// Suffix for a file that no release of ours put there.
const FOREIGN: &str = " (not ours)";

/// Returns the desired facts. A file whose secret could not be resolved is not compared.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    if let Some(kept) = kept(subject, host) {
        return kept.files.iter().map(|(path, file)| (path.to_string(), file.value.clone())).collect();
    }
    let mut facts = wanted_files(subject, host);
    facts.extend(other_release(subject, host).map(|(_, wanted)| (RELEASE.to_owned(), wanted)));
    facts
}

/// Returns the observed facts: of the staged release if there is one, otherwise of the live files.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    if let Some(kept) = kept(subject, host) {
        return kept_files(subject, host, kept);
    }
    let mut facts = seen_files(subject, host);
    facts.extend(other_release(subject, host).map(|(seen, _)| (RELEASE.to_owned(), seen)));
    facts
}

/// Returns the digests of the release on the host and of the wanted one, if they differ although no file does: another
/// order of the Compose files, another archive, one seed fewer, another image at its registry. Such a release still
/// needs to be staged.
fn other_release(subject: &Subject<'_>, host: &HostFacts) -> Option<(String, String)> {
    let wanted = identity(subject, host)?;
    let seen = &host.files.newest()?.digest;
    (*seen != wanted && seen_files(subject, host) == wanted_files(subject, host)).then(|| (seen.clone(), wanted))
}

/// Returns the live files of a release that is kept.
pub(super) fn kept_files(subject: &Subject<'_>, host: &HostFacts, kept: &ReleaseRecord) -> Facts {
    let key = key(subject, host);
    let found = |path: &Utf8PathBuf| match kept.files.get(path) {
        Some(file) if file.value == SEED => Some(SEED.to_owned()),
        file => {
            let keyed = file.is_none_or(is_keyed).then_some(key);
            host.files.live.get(path).map(|live| live.value(keyed))
        }
    };
    host.files.owned().into_iter().filter_map(|path| Some((path.to_string(), found(path)?))).collect()
}

fn wanted_files(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let Some(release) = subject.release else { return Facts::new() };
    let key = key(subject, host);
    let fact = |(path, file): (&Utf8PathBuf, &File)| Some((path.to_string(), wanted(file, key)?));
    let mut facts: Facts = release.files.iter().filter_map(fact).collect();
    // A staged release contains all of its files. Without one, the files that belong to the host are wanted unchanged.
    let kept = if host.files.staged.is_some() { BTreeSet::new() } else { left_to_host(subject, host) };
    if !kept.is_empty() {
        let seen = seen_files(subject, host);
        for path in kept {
            match seen.get(path.as_str()) {
                Some(value) => facts.insert(path.into_string(), value.clone()),
                None => facts.remove(path.as_str()),
            };
        }
    }
    facts
}

/// Returns the files of the release that belong to the host: ignored, released once, and changed on the host since
/// then.
///
/// A file that Compose parses, such as `.env`, is kept and not reported, like any other ignored file, and services that
/// mount it see the host's content. But Compose reads only the release's text, as [`in_release`](super::in_release)
/// ensures. So a process that can write there, such as a service that mounts the directory, cannot choose what root
/// starts. Refusing such rules would break manifests with a harmless `files:*`.
#[must_use]
pub(in crate::resource) fn left_to_host(subject: &Subject<'_>, host: &HostFacts) -> BTreeSet<Utf8PathBuf> {
    // If the whole directory is gone, no file is kept.
    let any = !subject.environment.drift.ignore.is_empty() && !host.files.live.is_empty();
    let Some(release) = subject.release.filter(|_| any) else { return BTreeSet::new() };
    let paths = release
        .files
        .keys()
        .filter(|path| subject.environment.drift.ignore.iter().any(|rule| rule.covers(Kind::Files, path.as_str())));
    paths.filter(|path| changed_by_hand(subject, host, path)).cloned().collect()
}

/// Returns true if a file matches neither the last release nor one whose switch has begun.
fn changed_by_hand(subject: &Subject<'_>, host: &HostFacts, path: &Utf8Path) -> bool {
    let live = host.files.live.get(path);
    let mut records = host.files.begun().filter_map(|record| record.files.get(path)).peekable();
    let same = |record: &FileRecord| {
        let key = is_keyed(record).then(|| key(subject, host));
        record.value == SEED || live.map(|live| live.value(key)).as_ref() == Some(&record.value)
    };
    records.peek().is_some() && !records.any(same)
}

pub(super) fn seen_files(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let Some(release) = subject.release else { return Facts::new() };
    let key = key(subject, host);
    let unresolved = |path: &Utf8Path| release.files.get(path).is_some_and(|file| file.sha256.is_none() && !file.seed);
    if let Some(staged) = &host.files.staged {
        let files = staged.record.files.iter().filter(|(path, _)| !unresolved(path));
        let fact = |(path, recorded): (&Utf8PathBuf, &FileRecord)| {
            let same = release.files.get(path).filter(|file| is_of(&recorded.value, file, key));
            (path.to_string(), same.and_then(|file| wanted(file, key)).unwrap_or_else(|| recorded.value.clone()))
        };
        return files.map(fact).collect();
    }
    let mut facts = Facts::new();
    let paths: BTreeSet<&Utf8PathBuf> = host.files.owned().into_iter().chain(release.files.keys()).collect();
    for path in paths.into_iter().filter(|path| !unresolved(path)) {
        let recorded = host.files.recorded(path);
        let file = release.files.get(path);
        let live = host.files.live.get(path);
        let seeded = recorded.is_some_and(|record| record.value == SEED);
        let found = match (file, live) {
            (Some(file), live) if file.seed => (seeded || live.is_some()).then(|| SEED.to_owned()),
            // Docker creates a directory if a file that a service mounts is missing.
            (_, Some(OnHost::Other(Obstacle::Directory))) if recorded.is_none() => None,
            (None, _) if seeded => None,
            (file, Some(live)) => {
                let same =
                    |file: &File| file.sha256.is_some_and(|sha256| *live == OnHost::File { mode: file.mode, sha256 });
                let secret = match file {
                    Some(file) if same(file) => file.secret,
                    // The replaced file may be a secret, even if the new file is not.
                    Some(file) => file.secret || recorded.is_some_and(is_keyed),
                    None => recorded.is_none_or(is_keyed),
                };
                let value = live.value(secret.then_some(key));
                // This also applies to a file that matches: a release must take it over before it counts.
                Some(if recorded.is_some() { value } else { value + &foreign(host, path, file, *live) })
            }
            (_, None) => None,
        };
        facts.extend(found.map(|value| (path.to_string(), value)));
    }
    facts
}

/// Returns the suffix for a file that no release of ours put there. A file with another content than the wanted one is
/// kept under another name.
fn foreign(host: &HostFacts, path: &Utf8Path, file: Option<&File>, live: OnHost) -> String {
    let replaced = match live {
        OnHost::File { sha256, .. } => file.is_some_and(|file| file.sha256 != Some(sha256)),
        OnHost::Other(obstacle) => file.is_some() && obstacle.may_be_regular(),
    };
    match path.file_name().filter(|_| replaced && host.files.is_foreign(path)) {
        Some(name) => format!(" (not ours: kept as {name}.deployer-saved-…)"),
        None => FOREIGN.to_owned(),
    }
}
