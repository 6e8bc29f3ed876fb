//! The start of containers: Docker itself looks up what a service mounts and follows links, so before it does, nothing that a
//! service could have replaced may be a link, and afterwards each container has what root finds there.

use crate::shell::quote;
use crate::step::files::{self, SEED};
use crate::step::record::ReleaseRecord;
use crate::step::{HostFacts, guard};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// The shell functions that compare what is mounted.
const MOUNTED: &str = include_str!("mounted.sh");

/// Returns shell, after [`guard::FUNCTIONS`], that refuses links before a switch to `record` puts its files in place: those
/// that are not `kept` replace a link.
#[must_use]
pub fn before_switch(record: &ReleaseRecord, host: &HostFacts, kept: &BTreeSet<Utf8PathBuf>) -> String {
    let placed = |path: &Utf8Path| {
        let mut files = record.files.iter().filter(|(_, file)| file.value != SEED).map(|(file, _)| file);
        files.any(|file| file.starts_with(path) && !kept.contains(file))
    };
    unlinked(exposed(record, host).into_iter().filter(|path| !placed(path)))
}

/// Returns shell, after [`guard::FUNCTIONS`], that lets `run` start containers of `record`, whose files are in place. `run` notes in
/// `$code` how that ended.
#[must_use]
pub fn guarded(record: &ReleaseRecord, host: &HostFacts, run: &str) -> String {
    format!("{}{}", unlinked(exposed(record, host)), watched(record, host, run))
}

/// Returns shell as [`guarded`], for what mounts nothing that a switch to `record` still has to put in place.
#[must_use]
pub fn guarded_before_switch(
    record: &ReleaseRecord,
    host: &HostFacts,
    kept: &BTreeSet<Utf8PathBuf>,
    run: &str,
) -> String {
    format!("{}{}", before_switch(record, host, kept), watched(record, host, run))
}

fn watched(record: &ReleaseRecord, host: &HostFacts, run: &str) -> String {
    let all = mounted(record, host);
    // The directory itself is a dot: no line of the list is empty.
    let named = |path: &Utf8PathBuf| if path.as_str().is_empty() { ".".into() } else { path.clone() };
    let lines = files::lines(&all.iter().map(|path| named(path)).collect::<Vec<_>>());
    let note = format!("write_whole \"$state/mounted\" %s {}\n", quote(&lines));
    let nested = files::lines(all.iter().copied().filter(|path| is_nested(path, &all)));
    let compare = if nested.is_empty() {
        String::new()
    } else {
        format!("{MOUNTED}{}same_mounts {} <<'/.'\n{nested}/.\n", guard::PIN, quote(&record.project))
    };
    format!("{note}code=0\n{run}\n{compare}")
}

/// What services of this release and of every one that ran there mount from below the application's directory.
fn mounted<'a>(record: &'a ReleaseRecord, host: &'a HostFacts) -> BTreeSet<&'a Utf8PathBuf> {
    let releases = host.files.begun().chain([record]);
    releases
        .flat_map(|release| release.services.values())
        .flat_map(|service| &service.mounts)
        .chain(&host.files.mounted)
        .collect()
}

/// What services of this release mount from below a directory that a service could ever write to.
fn exposed<'a>(record: &'a ReleaseRecord, host: &'a HostFacts) -> BTreeSet<&'a Utf8PathBuf> {
    let all = mounted(record, host);
    let own = record.services.values().flat_map(|service| &service.mounts);
    own.filter(|path| is_nested(path, &all)).collect()
}

fn is_nested(path: &Utf8Path, all: &BTreeSet<&Utf8PathBuf>) -> bool {
    path.ancestors().skip(1).any(|above| all.contains(&above.to_owned()))
}

/// Shell that ends the script where one of these is a link or below one.
fn unlinked<'a>(paths: impl IntoIterator<Item = &'a Utf8PathBuf>) -> String {
    let paths = files::lines(paths);
    if paths.is_empty() {
        return String::new();
    }
    format!(
        "if [ -d \"$app\" ]; then\n{}while IFS= read -r path; do unlinked \"$path\"; done <<'/.'\n{paths}/.\nfi\n",
        guard::PIN,
    )
}
