//! Switch from one release to the next, as shell that can be repeated: files are placed, and files that the new release
//! lacks are removed. Paths that no release of ours contains are not touched.

use super::on_host::{Obstacle, OnHost};
use super::value::{is_keyed, key};
use super::{END, SEED, lines};
use crate::model::shell::{guarded, quote};
use crate::release::sent::Owner;
use crate::resource::contract::guard;
use crate::resource::contract::marker::LEGACY_MARKER;
use crate::resource::contract::record::{FileRecord, ReleaseRecord};
use crate::resource::{HostFacts, Subject};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// Returns the `docker compose` command for this project in `directory` (already quoted), independent of the host's own
/// environment variables.
#[must_use]
pub fn compose(project: &str, directory: &str, files: &[String]) -> String {
    command("docker compose", project, directory, files)
}

/// Returns the same command for shell after [`guard::FUNCTIONS`]. It starts Compose without Docker's command.
fn compose_alone(project: &str, directory: &str, files: &[String]) -> String {
    command("$(compose_program)", project, directory, files)
}

fn command(program: &str, project: &str, directory: &str, files: &[String]) -> String {
    let files = files.iter().fold(String::new(), |text, file| text + " -f " + &quote(file));
    format!(
        "env -i PATH=\"$PATH\" HOME=/root DEPLOYER_UID=\"${{SUDO_UID:-1000}}\" {program} -p {} --project-directory {directory}{files}",
        quote(project)
    )
}

/// Returns the `docker compose` command for what the engine has of a project, which reads no file: neither the host's
/// environment variables nor a `compose.yaml` or an `.env` next to or above the current directory count.
#[must_use]
pub fn by_name(project: &str) -> String {
    compose(project, "\"$state\"", &[]) + " --env-file /dev/null"
}

/// Returns shell, after [`guard::FUNCTIONS`], that runs a Compose command line in `directory` (already quoted; it may
/// name `$tree`, root's copy of the release `id`, and `$top`).
///
/// Compose parses more files than its command line names: `include`, `extends`, `env_file`, `label_file`, `.env`,
/// seccomp profiles. All of them come from root's copy, including seeds and files that somebody edited on the host.
/// Otherwise, anyone who can write to the live directory could choose what root starts. Only the files that containers
/// mount come from the live directory.
#[must_use]
pub fn in_release(id: &str, directory: &str, command: &str) -> String {
    format!("{}cd {directory}\nin_release {command}\n", release(id))
}

/// Returns shell that sets `$tree` and, if the application's directory exists, `$top`.
fn release(id: &str) -> String {
    format!("tree=\"$state/releases/\"{}/tree top=\n[ ! -d \"$app\" ] || {}", quote(id), guard::PIN)
}

/// Shell functions that make and compare Compose's model of a release. They come after [`guard::FUNCTIONS`].
const MODEL: &str = include_str!("model.sh");

/// Returns the command that prints Compose's model of a release, with the paths of `directory` (already quoted).
fn config(record: &ReleaseRecord, directory: &str) -> String {
    compose_alone(&record.project, directory, &record.compose_files) + " config --format json"
}

/// Returns shell, after [`guard::FUNCTIONS`], that keeps Compose's model of the uploaded release, or refuses a release
/// that needs a file to which its services can write, or mounts root's state. The application's directory, which may
/// not exist yet, belongs to this user and group.
#[must_use]
pub fn validate(record: &ReleaseRecord, (user, group): (u32, u32)) -> String {
    format!(
        "{MODEL}{mounts}{release}owner={user}:{group}\ncd \"$tree\"\nvalidate {config}\n",
        mounts = guarded::MOUNTED,
        release = release(&record.id),
        config = config(record, "\"$app\""),
    )
}

/// Returns shell, after [`guard::FUNCTIONS`], that runs Compose with `options` in the application's directory. If
/// Compose no longer reads files that an earlier release needs, the shell runs Compose on that release's model, so that
/// its services can still be started.
#[must_use]
pub fn as_validated(record: &ReleaseRecord, options: &str) -> String {
    let run = |files: &str, more: &[String]| {
        in_release(&record.id, "\"${top:?}\"", &(compose_alone(&record.project, "\"$app\"", more) + files + options))
    };
    // Compose interprets a dollar sign as the beginning of a variable.
    let app = serde_json::json!(record.directory).to_string().replace('$', "$$");
    format!(
        "{MODEL}{release}plain_app={app}\nmade_in\nif as_validated {config}; then\n{plain}else\n{model}fi\n",
        release = release(&record.id),
        app = quote(app.trim_matches('"')),
        config = config(record, "\"${base:?}\""),
        plain = run("", &record.compose_files),
        model = run(" -f \"$state/model.json\"", &[]),
    )
}

/// Returns shell, after [`guard::FUNCTIONS`], that keeps what no release placed and a switch to `record` replaces or
/// removes: files of others, and what services wrote into files of ours. The shell must run before the switch is
/// journalled: from then on, these paths count as placed.
#[must_use]
pub fn set_aside(
    subject: &Subject<'_>,
    record: &ReleaseRecord,
    host: &HostFacts,
    kept: &BTreeSet<Utf8PathBuf>,
) -> String {
    let written = |path: &Utf8Path| host.files.is_foreign(path) || is_written(subject, host, path);
    let replaced = record.files.iter().filter(|(_, file)| file.value != SEED).map(|(path, _)| path);
    let removed = host.files.removable().into_iter().filter(|path| !record.files.contains_key(*path));
    let removed = removed.filter(|path| !host.files.is_foreign(path));
    let paths = lines(replaced.chain(removed).filter(|path| !kept.contains(*path) && written(path)));
    if paths.is_empty() {
        return String::new();
    }
    format!(
        "if [ -d \"$app\" ]; then\n{pin}tree=\"$state/releases/\"{id}/tree mark={mark}\nwhile IFS= read -r path; do set_aside \"$path\" || exit 1; done <<'{END}'\n{paths}{END}\nfi\n",
        pin = guard::PIN,
        id = quote(&record.id),
        mark = quote(subject.marks().as_str()),
    )
}

/// Returns true if a service of a release can have written a file of ours: it mounts the file, whose content on the
/// host is not the one that a release placed.
fn is_written(subject: &Subject<'_>, host: &HostFacts, path: &Utf8Path) -> bool {
    let mounted = || host.files.begun().any(|record| record.mounts(path));
    let content = |value: &str| value.split_once(' ').map(|(_, content)| content.to_owned());
    let placed = |live: &OnHost, record: &FileRecord| {
        content(&record.value) == content(&live.value(is_keyed(record).then(|| key(subject, host))))
    };
    let is_placed =
        |live| host.files.begun().filter_map(|record| record.files.get(path)).any(|record| placed(live, record));
    match host.files.live.get(path) {
        Some(live @ OnHost::File { .. }) => mounted() && !is_placed(live),
        Some(OnHost::Other(Obstacle::OtherSize | Obstacle::Late)) => mounted(),
        _ => false,
    }
}

/// Returns shell, after [`guard::FUNCTIONS`], that places the staged release's files except those in `kept`, and
/// removes files that the release no longer has. The shell can be repeated.
#[must_use]
pub fn switch(record: &ReleaseRecord, host: &HostFacts, kept: &BTreeSet<Utf8PathBuf>) -> String {
    let sent = record.files.iter().filter(|(path, _)| !kept.contains(*path));
    let (seeds, files): (Vec<_>, Vec<_>) = sent.partition(|(_, file)| file.value == SEED);
    // A seed that the host had once belongs to the host, even if it was deleted there.
    let had = |(path, _): &(&Utf8PathBuf, &FileRecord)| {
        host.files.current.as_ref().and_then(|record| record.files.get(*path)).is_some_and(|file| file.value == SEED)
    };
    let (sent, seeds): (Vec<_>, Vec<_>) = seeds.into_iter().partition(had);
    let of = |list: Vec<(&Utf8PathBuf, &FileRecord)>| lines(list.into_iter().map(|(path, _)| path));
    let gone = host.files.removable().into_iter().filter(|path| !record.files.contains_key(*path));
    // A path that becomes a directory, or was one, is removed first.
    let is_above = |path: &Utf8Path| {
        let mut from = record.files.range(path.to_owned()..);
        from.next().is_some_and(|(new, _)| new.starts_with(path))
    };
    let clashes =
        |path: &&Utf8PathBuf| is_above(path) || path.ancestors().any(|directory| record.files.contains_key(directory));
    let (first, last): (Vec<&Utf8PathBuf>, Vec<&Utf8PathBuf>) = gone.partition(clashes);
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
    let directory = |(path, owner): (&Utf8PathBuf, &Owner)| {
        let (user, group) = owner.ids(host.access.owner);
        format!("{user}:{group} {path}\n")
    };
    let directories: String = record.directories.iter().map(directory).collect();
    // Containers that mount the directory as another user must be able to enter it.
    let mode = |file: &FileRecord| u32::from_str_radix(file.value.split(' ').next()?, 8).ok();
    let is_open = |file: &FileRecord| is_keyed(file) && mode(file).is_some_and(|mode| mode & 0o044 != 0);
    let mode = if record.files.values().any(is_open) { "0700" } else { "0711" };
    format!(
        r#"directory_mode={mode}
{claim}tree="$state/releases/"{id}/tree owner={user}:{group}
write_whole "$state/owned" '%s' {owned}
{first}{directories}while IFS= read -r path; do put "$path"; done <<'{END}'
{files}{END}
while IFS= read -r path; do present "$path" || put "$path"; done <<'{END}'
{seeds}{END}
[ -z "$lost" ] || while IFS= read -r path; do put "$path"; done <<'{END}'
{sent}{END}
{last}discard {LEGACY_MARKER}
"#,
        claim = guard::claim((user, group)),
        first = if first.is_empty() { String::new() } else { remove(&lines(first)) },
        directories = if directories.is_empty() { String::new() } else { made(&directories) },
        id = quote(&record.id),
        owned = quote(&lines(owned)),
        files = of(files),
        seeds = of(seeds),
        sent = of(sent),
        last = remove(&lines(last)),
    )
}

/// Returns shell that creates missing directories, each with its owner.
fn made(directories: &str) -> String {
    format!(
        "while read -r owned_by path; do make_directory \"$owned_by\" \"$path\"; done <<'{END}'\n{directories}{END}\n"
    )
}

/// Returns shell, after [`guard::PIN`], that removes files and the directories that become empty.
#[must_use]
pub fn remove(paths: &str) -> String {
    format!("while IFS= read -r path; do discard \"$path\"; done <<'{END}'\n{paths}{END}\n")
}

/// Returns shell like [`remove`] that leaves the files for which the shell function `keeps` succeeds.
#[must_use]
pub fn remove_unless(keeps: &str, paths: &str) -> String {
    format!("while IFS= read -r path; do {keeps} \"$path\" || discard \"$path\"; done <<'{END}'\n{paths}{END}\n")
}
