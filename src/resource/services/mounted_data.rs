//! Data of the host that services mount: directories and files that no release places. Docker creates an empty directory
//! in place of a missing one, also below the mount point of a disk that is not mounted, and the services would start
//! without their data. The host keeps a list, `mount-points`, of what the services of the converged release mount, each
//! with the mount point of its file system.

use super::fact::Fact;
use super::start::absolute;
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use crate::model::state::Facts;
use crate::resource::contract::record::{ReleaseRecord, ServiceRecord};
use crate::resource::files::{self, SEED};
use crate::resource::{HostFacts, Subject};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};

/// Value of the fact of data that is where the services of the converged release had it.
pub const THERE: &str = "there";

/// Missing data, keyed by its path on the host.
pub type Missing = BTreeMap<Utf8PathBuf, Loss>;

/// Why data is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The path does not exist.
    Gone,
    /// No file system is mounted any more at this mount point, where the path was.
    Unmounted(String),
}

/// Reads one line of [`MISSING`](crate::resource::contract::mount_points::MISSING).
pub(super) fn read(line: &str) -> Option<(Utf8PathBuf, Loss)> {
    let (path, loss) = match line.split_once(' ')? {
        ("gone", path) => (path, Loss::Gone),
        ("unmounted", rest) => {
            let (point, path) = rest.split_once('\t')?;
            (path, Loss::Unmounted(checked::is_absolute(point).then(|| point.to_owned())?))
        }
        _ => return None,
    };
    checked::is_absolute(path).then(|| (path.into(), loss))
}

/// Directories whose content does not outlive a boot, or is the kernel's.
const TRANSIENT: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/run"];

/// Returns the paths on the host that a release's services mount.
fn mounted(record: &ReleaseRecord, services: &BTreeMap<String, ServiceRecord>) -> BTreeSet<Utf8PathBuf> {
    let paths = services.values().flat_map(|service| service.mounts.iter().chain(service.outside.keys()));
    let all = paths.map(|path| absolute(record, path));
    all.filter(|path| !TRANSIENT.iter().any(|transient| path.starts_with(transient))).collect()
}

/// Returns true if a release places the file, or files below the directory, so that a missing one is placed again.
/// Seeds are the data of the services.
fn is_placed(record: &ReleaseRecord, path: &Utf8Path) -> bool {
    let Ok(path) = path.strip_prefix(&record.directory) else { return false };
    let mut below = record.files.range(path.to_owned()..).take_while(|(file, _)| file.starts_with(path));
    below.any(|(file, placed)| file == path || placed.value != SEED)
}

/// Returns the missing data that a release would mount. The host's list is that of the converged release. Below another
/// mount, a directory that is gone is the work of a service.
fn lost<'a>(
    host: &'a HostFacts,
    wanted: &ReleaseRecord,
    services: &BTreeMap<String, ServiceRecord>,
) -> Vec<(&'a Utf8PathBuf, &'a Loss)> {
    let missing = &host.services.missing;
    let Some(live) = host.files.current.as_ref().filter(|_| !missing.is_empty()) else { return Vec::new() };
    let mounted = mounted(wanted, services);
    let is_lost = |(path, loss): &(&Utf8PathBuf, &Loss)| match loss {
        Loss::Unmounted(_) => mounted.contains(*path) || path.as_str() == wanted.directory,
        Loss::Gone => {
            let in_another = || path.ancestors().skip(1).any(|above| mounted.contains(above));
            mounted.contains(*path) && path.as_str() != live.directory && !is_placed(live, path) && !in_another()
        }
    };
    missing.iter().filter(is_lost).collect()
}

/// Adds the facts about missing data that these services of the wanted release mount.
pub(super) fn facts(host: &HostFacts, services: &BTreeMap<String, ServiceRecord>, facts: &mut Facts, is_desired: bool) {
    let Some(newest) = host.files.newest() else { return };
    for (path, loss) in lost(host, newest, services) {
        let seen = match loss {
            _ if is_desired => THERE.to_owned(),
            Loss::Gone => "gone".to_owned(),
            Loss::Unmounted(point) => format!("on a disk that is not mounted at {point}"),
        };
        facts.insert(Fact::Data(path.as_str()).to_string(), seen);
    }
}

/// Returns true if the user wants to start without the data at this path.
fn is_accepted(subject: &Subject<'_>, path: &Utf8Path) -> bool {
    subject.new_volumes.iter().any(|accepted| Utf8Path::new(accepted) == path)
}

/// Refuses to start a release whose services would mount something empty in place of data that the live release had.
pub(super) fn preflight(
    subject: &Subject<'_>,
    host: &HostFacts,
    wanted: &ReleaseRecord,
    services: &BTreeMap<String, ServiceRecord>,
) -> Option<Failure> {
    let mut lost = lost(host, wanted, services).into_iter().filter(|(path, _)| !is_accepted(subject, path));
    lost.next().map(|(path, loss)| failure(subject, host, path, loss))
}

/// Refuses to bring the live release's data back while the disk that it was on is not mounted.
pub(super) fn restore_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let live = host.files.begun().next()?;
    let mut lost = lost(host, live, &live.services).into_iter().filter(|(_, loss)| **loss != Loss::Gone);
    lost.next().map(|(path, loss)| failure(subject, host, path, loss))
}

fn failure(subject: &Subject<'_>, host: &HostFacts, path: &Utf8Path, loss: &Loss) -> Failure {
    let live = host.files.current.as_ref().map_or("", |live| &live.id);
    let (message, remedy) = match loss {
        Loss::Gone => {
            (format!("{path}, which services of release {live} mount, does not exist any more"), "Bring its data back")
        }
        Loss::Unmounted(point) => (
            format!(
                "{path}, which services of release {live} use, was on a disk that is not mounted at {point} any more"
            ),
            "Mount the disk",
        ),
    };
    let name = &subject.environment.name;
    let hint =
        format!("{remedy}, or start without the data: deployer apply {name} --new-volume {}", quote(path.as_str()));
    Failure::new(Reason::DataMissing, message).hint(hint)
}

/// Returns shell, after `write_whole`, that removes paths from the host's list whose data may be missing.
pub(super) fn forget(subject: &Subject<'_>, host: &HostFacts) -> String {
    let paths: BTreeSet<&Utf8PathBuf> =
        host.services.missing.keys().filter(|path| is_accepted(subject, path)).collect();
    if paths.is_empty() {
        return String::new();
    }
    format!(
        r#"points=$(paths={} awk -F '\t' 'BEGIN {{ n = split(ENVIRON["paths"], path, "\n"); for (i = 1; i <= n; i++) lost[path[i]] }} !($2 in lost)' "$state/mount-points")
write_whole "$state/mount-points" '%s\n' "$points"
"#,
        quote(&files::lines(paths)),
    )
}

/// Returns shell, after `write_whole`, that records what the services of a converged release mount.
pub(super) fn note(record: &ReleaseRecord) -> String {
    let mut paths = mounted(record, &record.services);
    paths.insert(record.directory.as_str().into());
    format!(
        r#"points=$(printf %s {} | tr '\n' '\0' | xargs -0 -r stat -L --printf '%F\t%m\t%n\n' -- 2>/dev/null | sed -nE 's/^(directory|regular (empty )?file)\t(.*\t.*)/\3/p' || :)
write_whole "$state/mount-points" '%s\n' "$points"
"#,
        quote(&files::lines(&paths)),
    )
}
