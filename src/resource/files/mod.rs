//! Files: every path of the release is on the host as released. Files are staged first and go live when the services
//! are switched. Paths that no release of ours contains are not touched.

mod digest;
mod on_host;
mod probe;
mod switch;

pub(super) use digest::identity;
pub use digest::{digest, key};
pub use on_host::{Obstacle, OnHost};
pub use probe::{LIST, parse, parse_list, probe, whole_records};
pub use switch::{as_validated, by_name, compose, in_release, remove, set_aside, switch, validate};

use super::contract::record::{FORMAT, FileRecord, Rejected, ReleaseRecord};
use super::contract::{claims, guard};
use super::images::registry;
use super::{Command, HostFacts, LONG, SHORT, Subject, access, drift, keep};
use crate::model::failure::{Failure, Reason};
use crate::model::input::{Input, Stream};
use crate::model::shell::quote;
use crate::model::state::Facts;
use crate::release::sent::File;
use crate::release::{Tarball, WHOLE};
use camino::{Utf8Path, Utf8PathBuf};
use digest::{is_keyed, is_of, wanted};
use std::collections::{BTreeMap, BTreeSet};

/// Terminator of the list of paths in a script. No relative path can look like it.
const END: &str = "/.";
/// Value of a file that is sent once and then belongs to the host.
pub(super) const SEED: &str = "seed";

/// Name of the fact that another release is wanted. No file has such a path.
const RELEASE: &str = "release/";
/// Suffix for a file that no release of ours put there.
const FOREIGN: &str = " (not ours)";

/// State of our releases on the host.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The release that last converged.
    pub current: Option<ReleaseRecord>,
    /// The release whose switch began and has not converged.
    pub swapping: Option<ReleaseRecord>,
    /// The release that is staged and validated and waits for its switch.
    pub staged: Option<Staged>,
    /// Inputs that are not tried again.
    pub rejected: Vec<Rejected>,
    /// Paths that releases put there, as recorded before each switch begins. Included are the paths of a release whose
    /// record was replaced by a later one before the release's files were removed.
    pub noted: BTreeSet<Utf8PathBuf>,
    /// Paths below the application's directory that services of any release mounted, and absolute paths elsewhere that
    /// they could write to, as recorded before each start begins.
    pub mounted: BTreeSet<Utf8PathBuf>,
    /// The objects in the application's directory under the requested paths.
    pub live: BTreeMap<Utf8PathBuf, OnHost>,
}

/// Staged release.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The release's record.
    pub record: ReleaseRecord,
    /// Compose's resolved model of the release. The model holds secrets and is neither stored nor printed.
    pub model: super::compose::model::Model,
}

impl Seen {
    /// Returns every path that a release of ours put there.
    #[must_use]
    pub fn owned(&self) -> BTreeSet<&Utf8PathBuf> {
        self.begun().flat_map(|record| record.files.keys()).chain(&self.noted).collect()
    }

    /// Returns those paths without seeds. A seed belongs to the host once it was sent.
    #[must_use]
    pub fn removable(&self) -> BTreeSet<&Utf8PathBuf> {
        let seed = |path: &&Utf8PathBuf| self.recorded(path).is_some_and(|file| file.value == SEED);
        self.owned().into_iter().filter(|path| !seed(path)).collect()
    }

    /// Returns the releases whose switch began, the newer one first.
    pub fn begun(&self) -> impl Iterator<Item = &ReleaseRecord> {
        [&self.swapping, &self.current].into_iter().flatten()
    }

    /// Returns the release that was staged last.
    #[must_use]
    pub fn newest(&self) -> Option<&ReleaseRecord> {
        self.staged.as_ref().map(|staged| &staged.record).or_else(|| self.begun().next())
    }

    /// Returns true if no release of ours put a file there.
    #[must_use]
    pub fn is_foreign(&self, path: &Utf8Path) -> bool {
        self.recorded(path).is_none() && !self.noted.contains(path)
    }

    fn recorded(&self, path: &Utf8Path) -> Option<&FileRecord> {
        self.begun().find_map(|record| record.files.get(path))
    }
}

/// Returns the rejection of the inputs that the manifest wants now. The live release is kept instead.
#[must_use]
pub fn held<'a>(subject: &Subject<'_>, host: &'a HostFacts) -> Option<&'a Rejected> {
    host.files.begun().next().filter(|_| !subject.retry)?;
    let wanted = digest(subject, host)?;
    // If the live release is the wanted one, it is not rejected, even if another was tried in between.
    if host.files.begun().next().is_some_and(|live| live.digest == wanted && !registry::moved(subject, host)) {
        return None;
    }
    host.files.rejected.iter().find(|rejected| rejected.digest == wanted && registry::same(host, rejected))
}

/// Returns the live release if the wanted one is rejected.
pub(super) fn kept<'a>(subject: &Subject<'_>, host: &'a HostFacts) -> Option<&'a ReleaseRecord> {
    host.files.begun().next().filter(|_| held(subject, host).is_some())
}

/// Returns paths as lines of a script's list.
pub fn lines<'a>(paths: impl IntoIterator<Item = &'a Utf8PathBuf>) -> String {
    paths.into_iter().fold(String::new(), |text, path| text + path.as_str() + "\n")
}

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
fn kept_files(subject: &Subject<'_>, host: &HostFacts, kept: &ReleaseRecord) -> Facts {
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
    let kept = if host.files.staged.is_some() { BTreeSet::new() } else { drift::kept_files(subject, host) };
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

/// Returns true if a file matches neither the last release nor one whose switch has begun.
pub(super) fn changed_by_hand(subject: &Subject<'_>, host: &HostFacts, path: &Utf8Path) -> bool {
    let live = host.files.live.get(path);
    let mut records = host.files.begun().filter_map(|record| record.files.get(path)).peekable();
    let same = |record: &FileRecord| {
        let key = is_keyed(record).then(|| key(subject, host));
        record.value == SEED || live.map(|live| live.value(key)).as_ref() == Some(&record.value)
    };
    records.peek().is_some() && !records.any(same)
}

fn seen_files(subject: &Subject<'_>, host: &HostFacts) -> Facts {
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

/// Returns the record of the wanted release. A live file that matches keeps its placement. All other files are placed
/// again, so that the services that read them are recreated.
fn record(subject: &Subject<'_>, host: &HostFacts, id: &str) -> Option<ReleaseRecord> {
    let (release, application) = (subject.release?, subject.environment.application.as_ref()?);
    let live = seen_files(subject, &unstaged(host));
    let kept = drift::kept_files(subject, host);
    let key = key(subject, host);
    let placed = |path: &Utf8PathBuf, file: &File| {
        let recorded = host.files.recorded(path).filter(|record| is_of(&record.value, file, key));
        let stays = live.get(path.as_str()) == wanted(file, key).as_ref() || kept.contains(path);
        recorded.filter(|_| stays).map_or(id, |record| &record.placed).to_owned()
    };
    let file = |(path, file): (&Utf8PathBuf, &File)| {
        let value = digest::kept(subject, host, path, file)?;
        Some((path.clone(), FileRecord { placed: placed(path, file), bytes: Some(file.bytes), value }))
    };
    Some(ReleaseRecord {
        version: FORMAT,
        id: id.to_owned(),
        order: host.access.serial,
        digest: digest(subject, host)?,
        directory: application.host_directory.to_string(),
        project: application.project.clone(),
        compose_files: release.compose_files.clone(),
        directories: release.directories.clone(),
        files: release.files.iter().filter_map(file).collect(),
        services: BTreeMap::new(),
        pulled: BTreeMap::new(),
    })
}

/// Returns the staged release if it is made from the files and variables that are wanted now.
#[must_use]
pub fn staged_as_wanted<'a>(subject: &Subject<'_>, host: &'a HostFacts) -> Option<&'a Staged> {
    let wanted = digest(subject, host)?;
    host.files.staged.as_ref().filter(|staged| staged.record.digest == wanted)
}

/// Refuses a release if the staging directory has too little free space.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    if held(subject, host).is_some() {
        return None;
    }
    let need = size(subject.release?.files.values());
    access::crowded(&subject.state_directory(), host.access.room.state, need, "the files need")
}

/// Refuses a release if the application's directory has too little free space: old files are removed only after the new
/// ones are placed.
#[must_use]
pub fn live_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    if held(subject, host).is_some() {
        return None;
    }
    let (release, application) = (subject.release?, subject.environment.application.as_ref()?);
    let (live, wanted) = (observed(subject, &unstaged(host)), desired(subject, host));
    let differs = |path: &Utf8PathBuf| live.get(path.as_str()) != wanted.get(path.as_str());
    let differing: Vec<&File> = release.files.iter().filter(|(path, _)| differs(path)).map(|(_, file)| file).collect();
    if differing.is_empty() {
        return None;
    }
    let need = size(differing.into_iter());
    access::crowded(application.host_directory.as_str(), host.access.room.application, need, "the files need")
}

/// Returns the disk space that files need: whole blocks, and some space for additional files.
fn size<'a>(files: impl Iterator<Item = &'a File>) -> u64 {
    files.map(|file| file.bytes.next_multiple_of(4096)).sum::<u64>() + (1 << 20)
}

/// Returns the host's facts without the staged release.
fn unstaged(host: &HostFacts) -> HostFacts {
    HostFacts { files: Seen { staged: None, ..host.files.clone() }, ..host.clone() }
}

/// Puts the files of a kept release back in place from the host's copy. These files count as placed by `id`, so that
/// the services that read them are recreated.
fn put_back(subject: &Subject<'_>, host: &HostFacts, kept: &ReleaseRecord, id: &str) -> Command {
    let live = kept_files(subject, host, kept);
    let mut record = kept.clone();
    for (path, file) in &mut record.files {
        if live.get(path.as_str()) != Some(&file.value) {
            id.clone_into(&mut file.placed);
            // Services that read the file get another label, and therefore another definition.
            let readers = record.services.values_mut().filter(|service| service.reads.contains(path));
            readers.for_each(|service| service.hash = None);
        }
    }
    Command {
        title: format!("put back the files of release {}", kept.id),
        script: subject.preamble()
            + "umask 077\n"
            + guard::FUNCTIONS
            + &keep("swapping.json", &serde_json::to_string(&record).unwrap_or_default())
            + &switch(&record, host, &BTreeSet::new()),
        input: Input::Empty,
        limit: SHORT,
        reason: Reason::UploadFailed,
    }
}

/// Uploads the release to its staging directory and lets Compose validate it there.
pub fn commands(subject: &Subject<'_>, host: &HostFacts, id: &str) -> Result<Vec<Command>, Failure> {
    if let Some(kept) = kept(subject, host) {
        let claim = claims::commands(subject, host, &kept.project);
        return Ok(claim.into_iter().chain([put_back(subject, host, kept, id)]).collect());
    }
    let (Some(release), Some(record)) = (subject.release, record(subject, host, id)) else { return Ok(Vec::new()) };
    let tarball = Tarball::of(release);
    let json = serde_json::to_string(&record).unwrap_or_default();
    let upload = format!(
        r#"umask 077
new="$state/releases/.new"
rm -rf "$new"
mkdir -p "$new/tree"
tar -x -p --no-same-owner -C "$new/tree" -f - && rm "$new/tree/{WHOLE}" || {{
  rm -rf "$new"
  echo "the upload is not complete" >&2
  exit 1
}}
printf '%s\n' {json} > "$new/release.json"
rm -rf "$state/releases/"{id}
mv "$new" "$state/releases/"{id}"#,
        json = quote(&json),
        id = quote(id),
    );
    let validate = format!(
        "umask 077\n{}{}write_whole \"$state/staged\" '%s\\n' {}",
        guard::FUNCTIONS,
        validate(&record, host.access.owner),
        quote(id),
    );
    let script = |text: &str| subject.preamble() + text;
    let claim = claims::commands(subject, host, &record.project);
    let commands = [
        Command {
            title: format!("upload {} files", release.files.len()),
            script: script(&upload),
            input: Input::Stream(Stream::new(move |out| tarball.write(out))),
            limit: LONG,
            reason: Reason::UploadFailed,
        },
        Command {
            title: "validate the Compose files".to_owned(),
            script: script(&validate),
            input: Input::Empty,
            limit: SHORT,
            reason: Reason::ComposeInvalid,
        },
    ];
    Ok(claim.into_iter().chain(commands).collect())
}
