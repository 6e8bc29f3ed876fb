//! The start of containers: Docker itself looks up what a service mounts and follows links, so before it does, nothing that a
//! service could have replaced may be a link, and afterwards each container has what root finds there.

use crate::model::checked;
use crate::model::shell::quote;
use crate::resource::HostFacts;
use crate::resource::contract::record::{ReleaseRecord, ServiceRecord};
use crate::resource::files::{self, SEED};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// The shell functions that find what services can replace, and compare what is mounted: after those of [`guard`](crate::resource::contract::guard).
pub const FUNCTIONS: &str = concat!(include_str!("../contract/claimed.sh"), include_str!("mounted.sh"));

/// Returns shell, after [`FUNCTIONS`], that refuses links before a switch to `record` puts its files in place: those
/// that are not `kept` replace a link.
#[must_use]
pub fn before_switch(record: &ReleaseRecord, host: &HostFacts, kept: &BTreeSet<Utf8PathBuf>) -> String {
    let sent = record.files.iter().filter(|(path, file)| file.value != SEED && !kept.contains(*path));
    // Each directory once, however many files and mounts there are.
    let placed: BTreeSet<&Utf8Path> = sent.flat_map(|(path, _)| path.ancestors()).collect();
    unlinked(record, host, &|path| placed.contains(path))
}

/// Returns shell, after [`FUNCTIONS`], that lets `run` start containers of `record`, whose files are in place. `run` notes in
/// `$code` how that ended.
#[must_use]
pub fn guarded(record: &ReleaseRecord, host: &HostFacts, run: &str) -> String {
    unlinked(record, host, &|_| false) + &watched(record, host, run)
}

/// Returns shell as [`guarded`], for what mounts nothing that a switch to `record` still has to put in place.
#[must_use]
pub fn guarded_before_switch(
    record: &ReleaseRecord,
    host: &HostFacts,
    kept: &BTreeSet<Utf8PathBuf>,
    run: &str,
) -> String {
    before_switch(record, host, kept) + &exposed(record, host, &|_| false) + &watched(record, host, run)
}

/// Returns the path that the live release has where Compose resolved this one for the staged `tree`: what leads out of the tree
/// with `..` is not below it, but in the environment's own state.
#[must_use]
pub fn live_path(path: Utf8PathBuf, tree: &str, directory: &str) -> Utf8PathBuf {
    let (mut above, mut live) = (Utf8Path::new(tree), Utf8PathBuf::from(directory));
    // The tree is `releases/ID/tree` of that state.
    for _ in 0..3 {
        (above, live) = (above.parent().unwrap_or(above), live.join(".."));
        if let Ok(rest) = path.strip_prefix(above) {
            return checked::plain_path(&live.join(rest));
        }
    }
    path
}

/// Returns shell, after [`exposed`], that notes what services can write to from now on, runs `run` and compares what is mounted then.
fn watched(record: &ReleaseRecord, host: &HostFacts, run: &str) -> String {
    let (above, project) = (quote(&files::lines(&above(record, host))), quote(&record.project));
    format!("write_whole \"$state/mounted\" %s {above}\ncode=0\n{run}\neach_exposed same_mounts {project} || exit 1\n")
}

/// Returns the places of the host that a service of this release or of an earlier one could write to. One that mounts the root directory has
/// the host already.
fn above(record: &ReleaseRecord, host: &HostFacts) -> BTreeSet<Utf8PathBuf> {
    let services = host.files.begun().chain([record]).flat_map(|release| release.services.values());
    let written = |service: &'_ ServiceRecord| {
        let outside = service.outside.iter().filter(|(_, writes)| **writes).map(|(path, _)| path.clone());
        service.mounts.iter().cloned().chain(outside).collect::<Vec<_>>()
    };
    let all = services.flat_map(written).chain(host.files.mounted.iter().cloned());
    all.map(|path| absolute(record, &path)).collect()
}

/// Returns the place of a path of the application's directory, which is an empty path itself. An absolute path stays as it is.
fn absolute(record: &ReleaseRecord, path: &Utf8Path) -> Utf8PathBuf {
    Utf8Path::new(&record.directory).join(path).as_str().trim_end_matches('/').into()
}

/// Returns shell that sets `$exposed`: the mounts of this release that something on the host could ever put a link in the way of. Those that
/// are to be `placed` take the place of a link.
fn exposed(record: &ReleaseRecord, host: &HostFacts, placed: &dyn Fn(&Utf8Path) -> bool) -> String {
    let own: BTreeSet<&Utf8PathBuf> = record.services.values().flat_map(|service| &service.mounts).collect();
    let outside = record.services.values().flat_map(|service| service.outside.keys());
    let list = |paths: &mut dyn Iterator<Item = &Utf8PathBuf>| {
        let paths: BTreeSet<Utf8PathBuf> = paths.map(|path| absolute(record, path)).collect();
        quote(&files::lines(&paths))
    };
    format!(
        "release=\"$state/releases/\"{id} above={above} placed={placed} paths={paths}\nfind_exposed || exit 1\n",
        id = quote(&record.id),
        above = quote(&files::lines(&above(record, host))),
        placed = list(&mut own.iter().copied().filter(|path| placed(path))),
        paths = list(&mut own.iter().copied().chain(outside)),
    )
}

/// Returns shell that sets `$exposed`, and ends the script where one of these is a link or leads through one.
fn unlinked(record: &ReleaseRecord, host: &HostFacts, placed: &dyn Fn(&Utf8Path) -> bool) -> String {
    exposed(record, host, placed) + "each_exposed no_link || exit 1\n"
}
