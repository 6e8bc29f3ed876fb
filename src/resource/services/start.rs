//! Start of containers. Docker itself resolves the paths that a service mounts, and it follows links. Therefore, before
//! a start, no path that a service could have replaced may be a link. After the start, each container must have mounted
//! what root finds at these paths.

use crate::model::shell::guarded::MOUNTED;
use crate::model::shell::quote;
use crate::resource::HostFacts;
use crate::resource::contract::record::{ReleaseRecord, ServiceRecord};
use crate::resource::files::{self, SEED};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// Shell functions that find the paths that services can replace, and compare the mounts. A script must include them
/// after the functions of [`guard`](crate::resource::contract::guard).
pub const FUNCTIONS: &str = MOUNTED;

/// Returns shell, after [`FUNCTIONS`], that refuses links before a switch to `record` places its files. Files that are
/// not `kept` replace a link.
#[must_use]
pub fn before_switch(record: &ReleaseRecord, host: &HostFacts, kept: &BTreeSet<Utf8PathBuf>) -> String {
    let sent = record.files.iter().filter(|(path, file)| file.value != SEED && !kept.contains(*path));
    // Each directory is listed once, however many files and mounts there are.
    let placed: BTreeSet<&Utf8Path> = sent.flat_map(|(path, _)| path.ancestors()).collect();
    unlinked(record, host, &|path| placed.contains(path)) + "same_volumes \"$release\" || exit 1\n"
}

/// Returns shell, after [`FUNCTIONS`], that lets `run` start containers of `record`, whose files are in place. `run`
/// stores its exit code in `$code`.
#[must_use]
pub fn guarded(record: &ReleaseRecord, host: &HostFacts, run: &str) -> String {
    unlinked(record, host, &|_| false) + &watched(record, host, run)
}

/// Returns shell like [`guarded`], for containers that mount nothing that a switch to `record` still has to place.
#[must_use]
pub fn guarded_before_switch(
    record: &ReleaseRecord,
    host: &HostFacts,
    kept: &BTreeSet<Utf8PathBuf>,
    run: &str,
) -> String {
    before_switch(record, host, kept) + &exposed(record, host, &|_| false) + &watched(record, host, run)
}

/// Returns shell, after [`exposed`], that records the paths that services can write to from now on, runs `run` and then
/// compares the mounts.
fn watched(record: &ReleaseRecord, host: &HostFacts, run: &str) -> String {
    let (above, project) = (quote(&files::lines(&above(record, host))), quote(&record.project));
    format!("note_mounts {above} || exit 1\ncode=0\n{run}\neach_exposed same_mounts {project} || exit 1\n")
}

/// Returns the paths of the host that a service of this release or of an earlier one could write to. A mount of the
/// root directory is not included: such a service already controls the host.
fn above(record: &ReleaseRecord, host: &HostFacts) -> BTreeSet<Utf8PathBuf> {
    let services = host.files.begun().chain([record]).flat_map(|release| release.services.values());
    let written = |service: &'_ ServiceRecord| {
        let outside = service.outside.iter().filter(|(_, writes)| **writes).map(|(path, _)| path.clone());
        service.mounts.iter().cloned().chain(outside).collect::<Vec<_>>()
    };
    let all = services.flat_map(written).chain(host.files.mounted.iter().cloned());
    all.map(|path| absolute(record, &path)).collect()
}

/// Returns the absolute path of a path relative to the application's directory. The directory itself is an empty path.
/// An absolute path is returned unchanged.
pub(super) fn absolute(record: &ReleaseRecord, path: &Utf8Path) -> Utf8PathBuf {
    Utf8Path::new(&record.directory).join(path).as_str().trim_end_matches('/').into()
}

/// Returns shell that sets `$exposed`: the mounts of this release whose path a process on the host could replace by a
/// link. Mounts that will be `placed` replace a link.
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

/// Returns shell that sets `$exposed`, and ends the script if one of these paths is a link or leads through one.
fn unlinked(record: &ReleaseRecord, host: &HostFacts, placed: &dyn Fn(&Utf8Path) -> bool) -> String {
    exposed(record, host, placed) + "each_exposed no_link || exit 1\n"
}
