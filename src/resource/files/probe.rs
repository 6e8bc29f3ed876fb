//! Reading of our releases from the host: the records, the staged release, the live files. This module does not judge
//! them.

use super::{END, Obstacle, OnHost, Seen, Staged};
use crate::model::checked;
use crate::release::sent::File;
use crate::resource::Subject;
use crate::resource::compose::model::Model;
use crate::resource::contract::frame::LIMIT;
use crate::resource::contract::guard;
use crate::resource::contract::record::{FORMAT, Rejected, ReleaseRecord};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Limit of a file's size, unless a file of the release is larger. Larger files are not read to their end.
const LARGEST: u64 = 64 << 20;

/// Time limit of reading files, in seconds. The rest of [`LIMIT`] is for one read that is slow to end.
const SECONDS: u64 = LIMIT.as_secs() / 2;

/// Separator after the records that the host keeps of releases, where only root can change anything.
const KEPT: &[u8] = b"\0kept \0";

/// Limit of the total length of the paths that a host names, in bytes.
const PATHS: usize = 64 << 20;

/// Returns the shell that reads our releases and prints records, each terminated by NUL.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let mut script = r#"for name in current swapping; do
  [ ! -e "$state/$name.json" ] || { printf '%s ' $name; cat "$state/$name.json"; printf '\0'; }
done
[ ! -e "$state/rejected.json" ] || { printf 'rejected '; cat "$state/rejected.json"; printf '\0'; }
[ ! -e "$state/owned" ] || { printf 'owned '; cat "$state/owned"; printf '\0'; }
[ ! -e "$state/mounted" ] || { printf 'mounted '; cat "$state/mounted"; printf '\0'; }
if [ -e "$state/staged" ]; then
  staged="$state/releases/$(cat "$state/staged")"
  # Former versions resolved the paths of a model in root's copy. Such a release is staged again.
  [ ! -e "$staged/resolved.json" ] || { printf 'staged '; cat "$staged/release.json"; printf '\0model '; cat "$staged/resolved.json"; printf '\0'; }
fi
printf '\0kept \0'
"#
    .to_owned();
    if let Some(release) = subject.release {
        let largest = release.files.values().map(|file| file.bytes).max().unwrap_or_default().max(LARGEST);
        let _ = write!(
            script,
            r#"{functions}pin "$app" || exit 0
largest={largest} seconds={SECONDS}
{{
  [ ! -e "$state/owned" ] || sed 's/^/owned /' "$state/owned"
  grep -ohsE '{RECORDED}' "$state/current.json" "$state/swapping.json" |
    sed -E 's/^"([^"]*)".*"bytes":([0-9]+)[}}]$/recorded,\2 \1/; s/^"([^"]*)".*/recorded,any \1/'
  cat <<'{END}'
{wanted}{END}
}} | awk '{SIZES}' | sort -t ' ' -k 2 | describe
"#,
            functions = guard::FUNCTIONS,
            wanted = release.files.iter().map(asked).collect::<String>(),
        );
    }
    script
}

/// Pattern of a file's entry in a record as we write it. An entry whose path contains quotes does not match.
const RECORDED: &str = r#""[^"]*":[{]"value":"[^"]*","placed":"[^"]*"(,"bytes":[0-9]+)?[}]"#;

/// awk program that prints the possible sizes of each path. If a release put a file there and its record has no size,
/// any size is possible.
const SIZES: &str = r#"{
  count = split($1, word, ","); path = substr($0, length($1) + 2)
  if (word[1] == "owned") owned[path]
  else if (word[1] == "recorded") recorded[path] = recorded[path] "," word[2]
  else wanted[path] = "," $1
}
END {
  for (path in wanted) asked[path]
  for (path in owned) asked[path]
  for (path in asked) {
    any = (path in recorded) ? (recorded[path] ~ /any/) : (path in owned)
    print (any ? "any" : recorded[path] wanted[path] ","), path
  }
}"#;

/// Returns `SIZE PATH` of a wanted file. A file whose secret is not known has no size.
fn asked((path, file): (&Utf8PathBuf, &File)) -> String {
    let size = file.sha256.map_or_else(|| "-".to_owned(), |_| file.bytes.to_string());
    format!("{size} {path}\n")
}

/// Reads the probe's records.
pub fn parse(output: &[u8]) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut modes = BTreeMap::new();
    let mut staged = None;
    let mut directories: BTreeMap<&str, &Utf8Path> = BTreeMap::new();
    let mut directory = Utf8Path::new("");
    // A long directory in front of many short names multiplies the length of the output.
    let mut room = PATHS;
    for record in output.split(|byte| *byte == 0) {
        let Ok(record) = std::str::from_utf8(record) else { continue };
        let Some((word, value)) = record.split_once(' ') else { continue };
        match word {
            "current" => seen.current = release_record(word, value)?,
            "swapping" => seen.swapping = release_record(word, value)?,
            // An unreadable list rejects nothing: the release is tried again.
            "rejected" => seen.rejected = Rejected::read_list(value),
            "owned" => seen.noted = value.lines().filter_map(checked::relative).collect(),
            "mounted" => {
                let path = |line: &str| match line {
                    "." => Some("".into()),
                    line if checked::is_absolute(line) => Some(line.into()),
                    line => checked::relative(line),
                };
                seen.mounted = value.lines().filter_map(path).collect();
            }
            "staged" => staged = release_record(word, value)?,
            "model" => {
                let read = Model::parse(value).ok();
                seen.staged = staged.take().zip(read).map(|(record, model)| Staged { record, model });
            }
            "in" => {
                let Some((number, path)) = value.split_once(' ') else { continue };
                directory = Utf8Path::new(if path == "." { "" } else { path });
                directories.insert(number, directory);
            }
            "other" => {
                let found = other(value).map(|(kind, name)| (below(directory.join(plain(name)), &mut room), kind));
                seen.live.extend(found.and_then(|(path, kind)| Some((path?, kind))));
            }
            "size" => {
                let path = below(directory.join(plain(value)), &mut room);
                seen.live.extend(path.map(|path| (path, OnHost::Other(Obstacle::OtherSize))));
            }
            "late" => {
                let path = below(plain(value).into(), &mut room);
                seen.live.extend(path.map(|path| (path, OnHost::Other(Obstacle::Late))));
            }
            "through" => {
                let found = other(value).map(|(kind, path)| (below(path.into(), &mut room), kind.passed()));
                seen.live.extend(found.and_then(|(path, kind)| Some((path?, kind))));
            }
            sum if sum.len() == 64 => {
                let path = plain(value.get(1..).unwrap_or_default());
                let numbered =
                    path.split_once('/').and_then(|(number, name)| Some(directories.get(number)?.join(name)));
                let Some(path) = below(numbered.unwrap_or_else(|| path.into()), &mut room) else { continue };
                if let (Some(mode), Ok(hash)) = (modes.remove(&path), blake3::Hash::from_hex(sum)) {
                    seen.live.insert(path, OnHost::File { mode, sha256: *hash.as_bytes() });
                }
            }
            mode => {
                let path = below(directory.join(plain(value)), &mut room);
                if let (Ok(mode @ 0..=0o7777), Some(path)) = (u32::from_str_radix(mode, 8), path) {
                    modes.insert(path, mode);
                }
            }
        }
    }
    seen.live.extend(modes.into_keys().map(|path| (path, OnHost::Other(Obstacle::Unread))));
    if room == 0 { Err("it names more files than a release can have".to_owned()) } else { Ok(seen) }
}

/// Returns the records that were complete when a probe was ended, or `None` if the records that the host keeps of
/// releases are incomplete.
#[must_use]
pub fn whole_records(output: &[u8]) -> Option<&[u8]> {
    let end = output.iter().rposition(|byte| *byte == 0)?;
    output.windows(KEPT.len()).any(|window| window == KEPT).then(|| &output[..end])
}

/// Accepts a path below the application's directory as long as `room` suffices for its bytes.
fn below(path: Utf8PathBuf, room: &mut usize) -> Option<Utf8PathBuf> {
    *room = room.saturating_sub(path.as_str().len());
    (*room > 0 && checked::is_relative(&path)).then_some(path)
}

/// Returns a name without the leading `./`, which protects it from being read as an option.
fn plain(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

/// Reads `MODE NAME`: the type of the object in the place of our file.
fn other(value: &str) -> Option<(OnHost, &str)> {
    let (mode, name) = value.split_once(' ')?;
    Some((OnHost::Other(Obstacle::of_mode(u32::from_str_radix(mode, 16).ok()?)), name))
}

/// Reads a record. A record that a crash or a user damaged counts as missing: the release is made again. A record of a
/// newer format is an error, because it must not be replaced.
fn release_record(name: &str, json: &str) -> Result<Option<ReleaseRecord>, String> {
    match ReleaseRecord::read(json.as_bytes()) {
        Some(record) if record.version > FORMAT => Err(format!("{name}.json is of format {}", record.version)),
        record => Ok(record),
    }
}

/// Shell that reads the records of all releases on the host, each terminated by NUL.
pub const LIST: &str = r#"for record in "$state/releases"/*/release.json; do
  [ ! -e "$record" ] || { cat "$record"; printf '\0'; }
done"#;

/// Reads the output of [`LIST`] and returns the releases that converged, the newest first.
#[must_use]
pub fn parse_list(output: &[u8]) -> Vec<ReleaseRecord> {
    let records = output.split(|byte| *byte == 0).filter_map(ReleaseRecord::read);
    let mut records: Vec<ReleaseRecord> =
        records.filter(|record: &ReleaseRecord| record.version <= FORMAT && record.restorable()).collect();
    records.sort_by(|a, b| b.age().cmp(&a.age()));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_in_the_order_of_the_host_and_not_of_clocks() {
        let record = |id: &str, order: u64| {
            let service = r#"{"image":"demo:1","reads":[],"ports":[],"replicas":1,"end":"running"}"#;
            format!(
                r#"{{"version":1,"id":"{id}","order":{order},"digest":"","directory":"/a","project":"p","compose_files":[],"files":{{}},"services":{{"web":{service}}}}}"#
            )
        };
        let list = [record("20261122T190000Z-a", 3), record("20261122T180000Z-b", 9), record("20261122T200000Z-c", 6)];
        let ids: Vec<String> = parse_list(list.join("\0").as_bytes()).into_iter().map(|record| record.id).collect();
        assert_eq!(ids, ["20261122T180000Z-b", "20261122T200000Z-c", "20261122T190000Z-a"]);
    }
}
