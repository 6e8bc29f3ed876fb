//! Files: every path of the release is on the host as released: staged first, live once the services were
//! switched. Never touches a path that no release of ours holds.

use super::record::{DigestKey, FORMAT, FileRecord, ReleaseRecord};
use super::{Command, HostFacts, LONG, SHORT, Subject, access};
use crate::application::{self, release::File};
use crate::failure::{Failure, Reason};
use crate::host::Input;
use crate::shell::quote;
use crate::state::Facts;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Ends the list of paths in a script; no relative path can look like it.
const END: &str = "/.";
/// The value of a file that is sent once and then the host's own.
pub(super) const SEED: &str = "seed";

/// Mode and digest of each path. `./`: a lone dash would be standard input.
const READ: &str = r"paths | sort -u | sed 's|^|./|' | tr '\n' '\0' | xargs -0 -r stat --printf '%a %n\0' --
paths | sort -u | sed 's|^|./|' | tr '\n' '\0' | xargs -0 -r sha256sum -z --
";
/// The fact that another release is wanted; no file has such a path.
const RELEASE: &str = "release/";
/// Marks a file that no release of ours put there.
const FOREIGN: &str = " (not ours)";

/// What the host has of our releases.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The release that last converged.
    pub current: Option<ReleaseRecord>,
    /// The release whose switch began and has not converged.
    pub swapping: Option<ReleaseRecord>,
    /// The release that is staged and validated, waiting for its switch.
    pub staged: Option<Staged>,
    /// What releases put there, as the switch notes it before it begins: also those of a release whose
    /// own record a later one replaced before its files were gone.
    pub noted: BTreeSet<Utf8PathBuf>,
    /// Regular files in the application's directory, of the paths asked for.
    pub live: BTreeMap<Utf8PathBuf, OnHost>,
}

/// A staged release.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Its record.
    pub record: ReleaseRecord,
    /// Compose's resolved model of it. Holds secrets: never stored, never printed.
    pub model: super::model::Model,
}

/// One file on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnHost {
    /// Permission bits.
    pub mode: u32,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

impl Seen {
    /// Every path that a release of ours put there.
    #[must_use]
    pub fn owned(&self) -> BTreeSet<&Utf8PathBuf> {
        let records = [&self.current, &self.swapping].into_iter().flatten();
        records.flat_map(|record| record.files.keys()).chain(&self.noted).collect()
    }

    fn recorded(&self, path: &Utf8Path) -> Option<&FileRecord> {
        [&self.swapping, &self.current].into_iter().flatten().find_map(|record| record.files.get(path))
    }
}

/// The shell that reads it: records, each ended by NUL.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let mut script = r#"for name in current swapping; do
  [ ! -e "$state/$name.json" ] || { printf '%s ' $name; cat "$state/$name.json"; printf '\0'; }
done
[ ! -e "$state/owned" ] || { printf 'owned '; cat "$state/owned"; printf '\0'; }
if [ -e "$state/staged" ]; then
  staged="$state/releases/$(cat "$state/staged")"
  printf 'staged '; cat "$staged/release.json"; printf '\0model '; cat "$staged/model.json"; printf '\0'
fi
"#
    .to_owned();
    if let Some(release) = subject.release {
        let paths = lines(release.files.keys());
        let _ = write!(
            script,
            "cd \"$app\" || exit 0\npaths() {{ [ ! -e \"$state/owned\" ] || cat \"$state/owned\"; cat <<'{END}'\n{paths}{END}\n}}\n{READ}"
        );
    }
    script
}

fn lines<'a>(paths: impl IntoIterator<Item = &'a Utf8PathBuf>) -> String {
    paths.into_iter().fold(String::new(), |text, path| text + path.as_str() + "\n")
}

/// Reads the probe's records.
pub fn parse(output: &[u8]) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut modes = BTreeMap::new();
    let mut staged = None;
    for record in output.split(|byte| *byte == 0) {
        let Ok(record) = std::str::from_utf8(record) else { continue };
        let Some((word, value)) = record.split_once(' ') else { continue };
        match word {
            "current" => seen.current = release_record(word, value)?,
            "swapping" => seen.swapping = release_record(word, value)?,
            "owned" => seen.noted = value.lines().map(Utf8PathBuf::from).collect(),
            "staged" => staged = release_record(word, value)?,
            "model" => {
                let read = super::model::Model::parse(value).ok();
                seen.staged = staged.take().zip(read).map(|(record, model)| Staged { record, model });
            }
            sum if sum.len() == 64 => {
                let path = below(value.get(1..).unwrap_or_default());
                if let (Some(mode), Ok(hash)) = (modes.remove(&path), blake3::Hash::from_hex(sum)) {
                    seen.live.insert(path, OnHost { mode, sha256: *hash.as_bytes() });
                }
            }
            mode => {
                if let Ok(mode) = u32::from_str_radix(mode, 8) {
                    modes.insert(below(value), mode);
                }
            }
        }
    }
    Ok(seen)
}

/// A path as a release has it.
fn below(path: &str) -> Utf8PathBuf {
    Utf8PathBuf::from(path.strip_prefix("./").unwrap_or(path))
}

/// A record that a crash or a hand left broken is none: the release is made anew. One of a newer format is not ours to
/// replace.
fn release_record(name: &str, json: &str) -> Result<Option<ReleaseRecord>, String> {
    match serde_json::from_str::<ReleaseRecord>(json) {
        Ok(record) if record.version > FORMAT => Err(format!("{name}.json is of format {}", record.version)),
        record => Ok(record.ok()),
    }
}

/// Mode and digest in one word, keyed where the content is secret.
fn value(mode: u32, sha256: &[u8; 32], key: Option<&DigestKey>) -> String {
    key.map_or_else(
        || format!("{mode:04o} sha256:{}", &hex(sha256)[..32]),
        |key| format!("{mode:04o} keyed:{}", key.digest(sha256)),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn wanted(file: &File, key: &DigestKey) -> Option<String> {
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

/// The facts as they are to be. A file whose secret could not be resolved is not compared.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = wanted_files(subject, host);
    facts.extend(other_release(subject, host).map(|(_, wanted)| (RELEASE.to_owned(), wanted)));
    facts
}

/// The facts as they are: of the staged release where one waits, else of the live files.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = seen_files(subject, host);
    facts.extend(other_release(subject, host).map(|(seen, _)| (RELEASE.to_owned(), seen)));
    facts
}

/// The digests of the release on the host and of the wanted one, where they differ though no file does: another
/// order of the Compose files, another archive, a seed less. It has to be staged all the same.
fn other_release(subject: &Subject<'_>, host: &HostFacts) -> Option<(String, String)> {
    let wanted = digest(subject, host)?;
    let files = &host.files;
    let staged = files.staged.as_ref().map(|staged| &staged.record);
    let seen = &staged.or(files.swapping.as_ref()).or(files.current.as_ref())?.digest;
    (*seen != wanted && seen_files(subject, host) == wanted_files(subject, host)).then(|| (seen.clone(), wanted))
}

fn wanted_files(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let Some(release) = subject.release else { return Facts::new() };
    let key = key(subject, host);
    let fact = |(path, file): (&Utf8PathBuf, &File)| Some((path.to_string(), wanted(file, key)?));
    release.files.iter().filter_map(fact).collect()
}

fn seen_files(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let Some(release) = subject.release else { return Facts::new() };
    let unresolved = |path: &Utf8Path| release.files.get(path).is_some_and(|file| file.sha256.is_none() && !file.seed);
    if let Some(staged) = &host.files.staged {
        let files = staged.record.files.iter().filter(|(path, _)| !unresolved(path));
        return files.map(|(path, file)| (path.to_string(), file.value.clone())).collect();
    }
    let key = key(subject, host);
    let mut facts = Facts::new();
    let paths: BTreeSet<&Utf8PathBuf> = host.files.owned().into_iter().chain(release.files.keys()).collect();
    for path in paths.into_iter().filter(|path| !unresolved(path)) {
        let recorded = host.files.recorded(path);
        let file = release.files.get(path);
        let live = host.files.live.get(path);
        let seeded = recorded.is_some_and(|record| record.value == SEED);
        let found = match (file, live) {
            (Some(file), live) if file.seed => (seeded || live.is_some()).then(|| SEED.to_owned()),
            (None, _) if seeded => None,
            (file, Some(live)) => {
                let secret = file.map_or_else(|| recorded.is_none_or(is_keyed), |file| file.secret);
                let value = value(live.mode, &live.sha256, secret.then_some(key));
                // Also where it is as wanted: a release has to take it over before it counts.
                Some(if recorded.is_some() { value } else { value + FOREIGN })
            }
            (_, None) => None,
        };
        facts.extend(found.map(|value| (path.to_string(), value)));
    }
    facts
}

fn is_keyed(record: &FileRecord) -> bool {
    record.value.contains(" keyed:")
}

/// Digest over everything a release is made from. `None` where a secret could not be resolved.
#[must_use]
pub fn digest(subject: &Subject<'_>, host: &HostFacts) -> Option<String> {
    let (release, compose) = (subject.release?, subject.environment.application.as_ref()?);
    let mut hasher = blake3::Hasher::new();
    let mut feed = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    feed(&compose.project);
    feed(compose.host_directory.as_str());
    release.compose_files.iter().for_each(|file| feed(file));
    for (path, file) in &release.files {
        feed(path.as_str());
        feed(&wanted(file, key(subject, host))?);
    }
    for archive in &release.archives {
        feed(&archive.image);
        feed(archive.ids.first()?);
    }
    Some(hasher.finalize().to_hex()[..16].to_owned())
}

/// The record of the release that is wanted. A file that is live as wanted keeps its placement; all
/// others are placed anew, so that the services that read them are recreated.
fn record(subject: &Subject<'_>, host: &HostFacts, id: &str) -> Option<ReleaseRecord> {
    let (release, compose) = (subject.release?, subject.environment.application.as_ref()?);
    let live = seen_files(subject, &unstaged(host));
    let placed = |path: &Utf8PathBuf, value: &String| {
        let recorded = host.files.recorded(path).filter(|record| record.value == *value);
        recorded.filter(|_| live.get(path.as_str()) == Some(value)).map_or(id, |record| &record.placed).to_owned()
    };
    let file = |(path, file): (&Utf8PathBuf, &File)| {
        let value = wanted(file, key(subject, host))?;
        Some((path.clone(), FileRecord { placed: placed(path, &value), value }))
    };
    Some(ReleaseRecord {
        version: FORMAT,
        id: id.to_owned(),
        digest: digest(subject, host)?,
        directory: compose.host_directory.to_string(),
        project: compose.project.clone(),
        compose_files: release.compose_files.clone(),
        files: release.files.iter().filter_map(file).collect(),
        services: BTreeMap::new(),
    })
}

/// Refuses a release for which there is no room where it is staged.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let need = size(subject.release?.files.values());
    access::crowded(&subject.state_directory(), host.access.room.state, need, "the files need")
}

/// Refuses a release for which there is no room where it goes live: the old files go after the new ones came.
#[must_use]
pub fn live_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let (release, compose) = (subject.release?, subject.environment.application.as_ref()?);
    let (live, wanted) = (observed(subject, &unstaged(host)), desired(subject, host));
    let differs = |path: &Utf8PathBuf| live.get(path.as_str()) != wanted.get(path.as_str());
    let differing: Vec<&File> = release.files.iter().filter(|(path, _)| differs(path)).map(|(_, file)| file).collect();
    if differing.is_empty() {
        return None;
    }
    let need = size(differing.into_iter());
    access::crowded(compose.host_directory.as_str(), host.access.room.application, need, "the files need")
}

/// What files take up on a disk: whole blocks, and some room for what stands beside them.
fn size<'a>(files: impl Iterator<Item = &'a File>) -> u64 {
    files.map(|file| file.bytes.next_multiple_of(4096)).sum::<u64>() + (1 << 20)
}

/// The host as it is without what is staged.
fn unstaged(host: &HostFacts) -> HostFacts {
    HostFacts { files: Seen { staged: None, ..host.files.clone() }, ..host.clone() }
}

/// Uploads the release to its staging directory and lets Compose validate it there.
pub fn commands(subject: &Subject<'_>, host: &HostFacts, id: &str) -> Result<Vec<Command>, Failure> {
    let (Some(release), Some(record)) = (subject.release, record(subject, host, id)) else { return Ok(Vec::new()) };
    let paths = release.files.keys().cloned().collect();
    let tar = application::tar(release, &paths).map_err(|error| {
        Failure::new(Reason::ApplicationInvalid, format!("The application's files cannot be read: {error}"))
    })?;
    let json = serde_json::to_string(&record).unwrap_or_default();
    let upload = format!(
        r#"umask 077
new="$state/releases/.new"
rm -rf "$new"
mkdir -p "$new/tree"
tar -x -p --no-same-owner -C "$new/tree" -f -
printf '%s\n' {json} > "$new/release.json"
rm -rf "$state/releases/"{id}
mv "$new" "$state/releases/"{id}"#,
        json = quote(&json),
        id = quote(id),
    );
    let validate = format!(
        r#"umask 077
cd "$state/releases/"{id}/tree
{compose} config --format json > ../model.json </dev/null
printf '%s\n' {id} > "$state/staged.new"
mv "$state/staged.new" "$state/staged""#,
        id = quote(id),
        compose = compose(&record.project, "\"$PWD\"", &record.compose_files),
    );
    let script = |text: &str| subject.preamble() + text;
    Ok(vec![
        Command {
            title: format!("upload {} files", release.files.len()),
            script: script(&upload),
            input: Input::Bytes(tar),
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
    ])
}

/// `docker compose` for this project in `directory` (already quoted), free of the host's own variables.
#[must_use]
pub fn compose(project: &str, directory: &str, files: &[String]) -> String {
    let files = files.iter().fold(String::new(), |text, file| text + " -f " + &quote(file));
    format!(
        "env -i PATH=\"$PATH\" HOME=/root docker compose -p {} --project-directory {directory}{files}",
        quote(project)
    )
}

/// Shell that places the staged release's files and removes those that left it; can be repeated.
#[must_use]
pub fn switch(record: &ReleaseRecord, host: &HostFacts) -> String {
    let (seeds, files): (Vec<_>, Vec<_>) = record.files.iter().partition(|(_, file)| file.value == SEED);
    // What the host already had once is its own, also where it was deleted there.
    let had = |(path, _): &(&Utf8PathBuf, &FileRecord)| {
        host.files.current.as_ref().and_then(|record| record.files.get(*path)).is_some_and(|file| file.value == SEED)
    };
    let (sent, seeds): (Vec<_>, Vec<_>) = seeds.into_iter().partition(had);
    let of = |list: Vec<(&Utf8PathBuf, &FileRecord)>| lines(list.into_iter().map(|(path, _)| path));
    let gone = lines(host.files.owned().into_iter().filter(|path| {
        !record.files.contains_key(*path) && host.files.recorded(path).is_none_or(|file| file.value != SEED)
    }));
    let seed = |path: &Utf8Path| {
        [Some(record), host.files.swapping.as_ref(), host.files.current.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|record| record.files.get(path))
            .is_some_and(|file| file.value == SEED)
    };
    let owned: BTreeSet<&Utf8PathBuf> =
        host.files.owned().into_iter().chain(record.files.keys()).filter(|path| !seed(path)).collect();
    let (user, group) = host.access.owner;
    format!(
        r#"tree="$state/releases/"{id}/tree
lost=
if [ ! -d "$app" ]; then mkdir -p "$(dirname "$app")"; mkdir -m 0700 "$app"; chown {user}:{group} "$app"; lost=yes; fi
cat > "$state/owned.new" <<'{END}'
{owned}{END}
mv "$state/owned.new" "$state/owned"
place() {{
  [ ! -L "$app/$1" ] && cmp -s "$tree/$1" "$app/$1" && [ "$(stat -c %a "$tree/$1")" = "$(stat -c %a "$app/$1")" ] && {{
    [ ! -e "$app/$1.deployer-new" ] || rm -f "$app/$1.deployer-new"
    return 0
  }}
  # Docker makes an empty directory where a file to be mounted is missing.
  [ -L "$app/$1" ] || [ ! -d "$app/$1" ] || rmdir "$app/$1"
  (umask 022; mkdir -p "$(dirname "$app/$1")")
  cp -p "$tree/$1" "$app/$1.deployer-new"
  chown {user}:{group} "$app/$1.deployer-new"
  mv -f -T "$app/$1.deployer-new" "$app/$1"
}}
while IFS= read -r path; do place "$path"; done <<'{END}'
{files}{END}
while IFS= read -r path; do [ -e "$app/$path" ] || place "$path"; done <<'{END}'
{seeds}{END}
[ -z "$lost" ] || while IFS= read -r path; do place "$path"; done <<'{END}'
{sent}{END}
{remove}"#,
        id = quote(&record.id),
        owned = lines(owned),
        files = of(files),
        seeds = of(seeds),
        sent = of(sent),
        remove = remove(&gone),
    )
}

/// Shell that removes paths and the directories that become empty with them.
#[must_use]
pub fn remove(paths: &str) -> String {
    format!(
        r#"while IFS= read -r path; do
  rm -f -- "$app/$path" "$app/$path.deployer-new"
  parent=$(dirname -- "$path")
  [ "$parent" = . ] || (cd "$app" && rmdir -p --ignore-fail-on-non-empty -- "$parent" 2>/dev/null) || true
done <<'{END}'
{paths}{END}
"#
    )
}
