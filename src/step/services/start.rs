//! The start of containers: Docker itself looks up what a service mounts and follows links, so before it does, nothing that a
//! service could have replaced may be a link, and afterwards each container has what root finds there.

use crate::checked;
use crate::shell::quote;
use crate::step::HostFacts;
use crate::step::files::{self, SEED};
use crate::step::record::{ReleaseRecord, ServiceRecord};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The shell functions that compare what is mounted.
const MOUNTED: &str = include_str!("mounted.sh");

/// Paths of mounts that a service can replace, by the directory below which it can. Links that lead to that directory are root's own.
type Exposed = BTreeMap<Utf8PathBuf, BTreeSet<Utf8PathBuf>>;

/// Returns shell, after [`FUNCTIONS`](crate::step::guard::FUNCTIONS), that refuses links before a switch to `record` puts its files in place: those
/// that are not `kept` replace a link.
#[must_use]
pub fn before_switch(record: &ReleaseRecord, host: &HostFacts, kept: &BTreeSet<Utf8PathBuf>) -> String {
    let placed = |path: &Utf8PathBuf| {
        let mut files = record.files.iter().filter(|(_, file)| file.value != SEED).map(|(file, _)| file);
        files.any(|file| file.starts_with(path) && !kept.contains(file))
    };
    let mut exposed = exposed(record, host);
    if let Some(paths) = exposed.get_mut(Utf8Path::new(&record.directory)) {
        paths.retain(|path| !placed(path));
    }
    unlinked(record, &exposed)
}

/// Returns shell, after [`FUNCTIONS`](crate::step::guard::FUNCTIONS), that lets `run` start containers of `record`, whose files are in place. `run` notes in
/// `$code` how that ended.
#[must_use]
pub fn guarded(record: &ReleaseRecord, host: &HostFacts, run: &str) -> String {
    let exposed = exposed(record, host);
    unlinked(record, &exposed) + &watched(record, host, &exposed, run)
}

/// Returns shell as [`guarded`], for what mounts nothing that a switch to `record` still has to put in place.
#[must_use]
pub fn guarded_before_switch(
    record: &ReleaseRecord,
    host: &HostFacts,
    kept: &BTreeSet<Utf8PathBuf>,
    run: &str,
) -> String {
    before_switch(record, host, kept) + &watched(record, host, &exposed(record, host), run)
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

fn watched(record: &ReleaseRecord, host: &HostFacts, exposed: &Exposed, run: &str) -> String {
    // The directory itself is a dot: no line of the list is empty.
    let named = |path: &Utf8PathBuf| if path.as_str().is_empty() { ".".into() } else { path.clone() };
    let lines = files::lines(&above(record, host).into_iter().map(named).collect::<Vec<_>>());
    let note = format!("write_whole \"$state/mounted\" %s {}\n", quote(&lines));
    let mut compare = String::new();
    for (directory, paths) in exposed {
        let (project, directory, paths) = (quote(&record.project), quote(directory.as_str()), files::lines(paths));
        let _ = write!(compare, "same_mounts {project} {directory} <<'/.' || replaced=1\n{paths}/.\n");
    }
    if !compare.is_empty() {
        compare = format!("{MOUNTED}replaced=0\n{compare}[ \"$replaced\" = 0 ] || exit 1\n");
    }
    format!("{note}code=0\n{run}\n{compare}")
}

/// Mounts that a service of this release or of an earlier one could write to: relative to the application's directory, or absolute.
/// One that mounts the root directory has the host already.
fn above<'a>(record: &'a ReleaseRecord, host: &'a HostFacts) -> BTreeSet<&'a Utf8PathBuf> {
    let services = host.files.begun().chain([record]).flat_map(|release| release.services.values());
    let written =
        |service: &'a ServiceRecord| service.outside.iter().filter(|(_, writes)| **writes).map(|(path, _)| path);
    services.flat_map(|service| service.mounts.iter().chain(written(service))).chain(&host.files.mounted).collect()
}

/// Returns the mounts of this release that are strictly below one that a service could ever write to.
fn exposed(record: &ReleaseRecord, host: &HostFacts) -> Exposed {
    // An absolute path stays as it is.
    let application = Utf8Path::new(&record.directory);
    let above: BTreeSet<Utf8PathBuf> = above(record, host).into_iter().map(|path| application.join(path)).collect();
    let mut exposed = Exposed::new();
    for path in record.services.values().flat_map(|service| service.mounts.iter().chain(service.outside.keys())) {
        let path = application.join(path);
        let Some(highest) = path.ancestors().skip(1).filter(|directory| above.contains(*directory)).last() else {
            continue;
        };
        // The application's directory holds no link of root's own.
        let directory = if highest.starts_with(application) { application } else { highest };
        if let Ok(below) = path.strip_prefix(directory) {
            exposed.entry(directory.to_owned()).or_default().insert(below.to_owned());
        }
    }
    exposed
}

/// Returns shell that ends the script where one of these is a link or leads through one.
fn unlinked(record: &ReleaseRecord, exposed: &Exposed) -> String {
    let mut script = String::new();
    for (directory, paths) in exposed.iter().filter(|(_, paths)| !paths.is_empty()) {
        if directory == &record.directory {
            script += "[ ! -d \"$app\" ] || pin \"$app\" || cannot_enter\n";
        }
        let (directory, paths) = (quote(directory.as_str()), files::lines(paths));
        let _ = write!(script, "unlinked {directory} <<'/.' || exit 1\n{paths}/.\n");
    }
    script
}
