//! The switch from one release to the next, as shell that can be repeated: files are placed, those that
//! left are removed. Never touches a path that no release of ours holds.

use super::{END, SEED, lines};
use crate::application::release::Owner;
use crate::shell::quote;
use crate::step::HostFacts;
use crate::step::record::{FileRecord, ReleaseRecord};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// `docker compose` for this project in `directory` (already quoted), free of the host's own variables.
#[must_use]
pub fn compose(project: &str, directory: &str, files: &[String]) -> String {
    let files = files.iter().fold(String::new(), |text, file| text + " -f " + &quote(file));
    format!(
        "env -i PATH=\"$PATH\" HOME=/root DEPLOYER_UID=\"${{SUDO_UID:-1000}}\" docker compose -p {} --project-directory {directory}{files}",
        quote(project)
    )
}

/// Shell that places the staged release's files, but those in `kept`, and removes those that left it; can be
/// repeated.
#[must_use]
pub fn switch(record: &ReleaseRecord, host: &HostFacts, kept: &BTreeSet<Utf8PathBuf>) -> String {
    let sent = record.files.iter().filter(|(path, _)| !kept.contains(*path));
    let (seeds, files): (Vec<_>, Vec<_>) = sent.partition(|(_, file)| file.value == SEED);
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
    let directory = |(path, owner): (&Utf8PathBuf, &Owner)| {
        let (user, group) = owner.ids(host.access.owner);
        format!("{user}:{group} {path}\n")
    };
    let directories: String = record.directories.iter().map(directory).collect();
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
{directories}while IFS= read -r path; do place "$path"; done <<'{END}'
{files}{END}
while IFS= read -r path; do [ -e "$app/$path" ] || place "$path"; done <<'{END}'
{seeds}{END}
[ -z "$lost" ] || while IFS= read -r path; do place "$path"; done <<'{END}'
{sent}{END}
{remove}"#,
        directories = if directories.is_empty() { String::new() } else { made(&directories) },
        id = quote(&record.id),
        owned = lines(owned),
        files = of(files),
        seeds = of(seeds),
        sent = of(sent),
        remove = remove(&gone),
    )
}

/// Shell that makes those directories that are missing, each with its owner.
fn made(directories: &str) -> String {
    format!(
        r#"while read -r owner path; do
  [ -d "$app/$path" ] || {{ (umask 022; mkdir -p "$app/$path") && chown "$owner" "$app/$path"; }}
done <<'{END}'
{directories}{END}
"#
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
