//! Files: every path of the release is on the host as released. Files are staged first and go live when the services
//! are switched. Paths that no release of ours contains are not touched.

mod facts;
mod on_host;
mod probe;
mod switch;
pub(super) mod value;

pub(super) use facts::left_to_host;
pub use facts::{desired, observed};
pub use on_host::{Obstacle, OnHost};
pub use probe::{LIST, parse, parse_list, probe, whole_records};
pub use switch::{as_validated, by_name, compose, in_release, remove, remove_unless, set_aside, switch, validate};
pub use value::key;

use super::contract::record::{FORMAT, FileRecord, Rejected, ReleaseRecord};
use super::contract::{claims, guard};
use super::release_identity::{digest, kept};
use super::{Command, HostFacts, LONG, SHORT, Subject, access, keep};
use crate::model::failure::{Failure, Reason};
use crate::model::input::{Input, Stream};
use crate::model::shell::quote;
use crate::release::sent::File;
use crate::release::{Tarball, WHOLE};
use camino::{Utf8Path, Utf8PathBuf};
use facts::{kept_files, seen_files};
use std::collections::{BTreeMap, BTreeSet};
use value::{is_of, wanted};

/// Terminator of the list of paths in a script. No relative path can look like it.
const END: &str = "/.";
/// Value of a file that is sent once and then belongs to the host.
pub(super) const SEED: &str = "seed";

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

    pub(super) fn recorded(&self, path: &Utf8Path) -> Option<&FileRecord> {
        self.begun().find_map(|record| record.files.get(path))
    }
}

/// Returns paths as lines of a script's list.
pub fn lines<'a>(paths: impl IntoIterator<Item = &'a Utf8PathBuf>) -> String {
    paths.into_iter().fold(String::new(), |text, path| text + path.as_str() + "\n")
}

/// Returns the record of the wanted release. A live file that matches keeps its placement. All other files are placed
/// again, so that the services that read them are recreated.
fn record(subject: &Subject<'_>, host: &HostFacts, id: &str) -> Option<ReleaseRecord> {
    let (release, application) = (subject.release?, subject.environment.application.as_ref()?);
    let live = seen_files(subject, &unstaged(host));
    let left = left_to_host(subject, host);
    let key = key(subject, host);
    let placed = |path: &Utf8PathBuf, file: &File| {
        let recorded = host.files.recorded(path).filter(|record| is_of(&record.value, file, key));
        let stays = live.get(path.as_str()) == wanted(file, key).as_ref() || left.contains(path);
        recorded.filter(|_| stays).map_or(id, |record| &record.placed).to_owned()
    };
    let file = |(path, file): (&Utf8PathBuf, &File)| {
        let value = value::kept(subject, host, path, file)?;
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
        objects: None,
        pulled: BTreeMap::new(),
    })
}

/// Returns the staged release if it is made from the files and variables that are wanted now.
#[must_use]
pub fn staged_as_wanted<'a>(subject: &Subject<'_>, host: &'a HostFacts) -> Option<&'a Staged> {
    let staged = host.files.staged.as_ref()?;
    (staged.record.digest == digest(subject, host)?).then_some(staged)
}

/// Refuses a release if the staging directory has too little free space.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    if kept(subject, host).is_some() {
        return None;
    }
    let need = size(subject.release?.files.values());
    access::crowded(&subject.state_directory(), host.access.room.state, need, "the files need")
}

/// Refuses a release if the application's directory has too little free space: old files are removed only after the new
/// ones are placed.
#[must_use]
pub fn live_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    if kept(subject, host).is_some() {
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
            + &set_aside(subject, &record, host, &BTreeSet::new())
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
