//! Access: deployer reaches the host, knows its operating system, and marked it as ours. This module changes only our
//! own directory on the host.

use super::contract::marker::{self, Marker, protected};
use super::contract::record::{DigestKey, FORMAT};
use super::contract::{claims, lease};
use super::{Command, HostFacts, SHORT, Subject, keep};
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::state::Facts;

/// Name of the fact that the host has the environment's marker.
pub const MARKER: &str = "marker";

/// Facts of the host about itself and about our claim.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `ID` of os-release (`debian`).
    pub os: String,
    /// `VERSION_ID` (`13`).
    pub version: String,
    /// `VERSION_CODENAME` (`trixie`).
    pub codename: String,
    /// Processor architecture as Docker names it (`amd64`).
    pub architecture: String,
    /// User and group of the SSH user.
    pub owner: (u32, u32),
    /// True if systemd runs on the host.
    pub systemd: bool,
    /// Seconds since 1970 by the host's clock.
    pub now: i64,
    /// Free bytes in the places that we write to.
    pub room: Room,
    /// Our marker, if the host was claimed.
    pub marker: Option<Marker>,
    /// The digest key, if the host was claimed.
    pub key: Option<DigestKey>,
    /// Number of our changes to the host.
    pub serial: u64,
    /// The lease that is held now, if any.
    pub lease: Option<lease::Held>,
    /// The marker of the environment whose release has the application's directory.
    pub directory_marker: Option<Marker>,
    /// The environment's own claims on the host, and the claims of others that conflict with them.
    pub claims: claims::Seen,
    /// True if a marker or another environment's claim cannot be read.
    pub broken_marker: bool,
}

/// Free bytes in each place; `None` if the host did not report them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The engine's image storage, present or future.
    pub engine: Option<u64>,
    /// The directory in which releases are staged.
    pub state: Option<u64>,
    /// The application's directory.
    pub application: Option<u64>,
}

/// Returns a failure if fewer than `need` bytes are free at `place`. `what` names the user of the space.
#[must_use]
pub fn crowded(place: &str, free: Option<u64>, need: u64, what: &str) -> Option<Failure> {
    let free = free.filter(|free| *free < need)?;
    let message = format!("The host has {} MiB free at {place}; {what} {} MiB", free >> 20, need.div_ceil(1 << 20));
    Some(Failure::new(Reason::DiskFull, message))
}

/// Returns the shell that reads these facts.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    r#"( . /etc/os-release; printf 'os %s\nversion %s\ncodename %s\n' "${ID:-}" "${VERSION_ID:-}" "${VERSION_CODENAME:-}" )
printf 'machine %s\n' "$(uname -m)"
printf 'owner %s %s\n' "${SUDO_UID:-$(id -u)}" "${SUDO_GID:-$(id -g)}"
[ ! -d /run/systemd/system ] || echo 'systemd yes'
printf 'now %s\n' "$(date +%s)"
there() { place=$1; until [ -d "$place" ]; do place=${place%/*}; [ -n "$place" ] || place=/; done; }
engine=/var/lib/docker
[ ! -e /etc/docker/daemon.json ] || root=$(sed -n 's/.*"data-root"[^"]*"\([^"]*\)".*/\1/p' /etc/docker/daemon.json | head -n 1)
there "${root:-$engine}"; engine=$place
there "$state"; own=$place
there "${app:-/}"
# A place that df cannot read has no line, so that the others would get each other's.
table=$(df -Pk "$engine" "$own" "$place") && {
  read -r _
  for name in engine state application; do read -r _ _ _ free _; echo "room $name $free"; done
} <<TABLE
$table
TABLE
one_line() { while IFS= read -r line || [ -n "$line" ]; do printf %s "$line"; done <"$1"; echo; }
[ ! -e "$state/marker.json" ] || { printf 'marker '; one_line "$state/marker.json"; }
[ ! -e "$state/key" ] || { printf 'key '; one_line "$state/key"; }
[ ! -e "$state/serial" ] || { printf 'serial '; one_line "$state/serial"; }
"#
    .to_owned()
        + &claims::probe(subject)
        + &lease::look()
}

/// Reads the probe's lines.
pub fn parse(output: &[u8]) -> Result<Seen, String> {
    let text = String::from_utf8_lossy(output);
    let mut seen = Seen::default();
    for line in text.lines() {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "os" => word_of(value).clone_into(&mut seen.os),
            "version" => word_of(value).clone_into(&mut seen.version),
            "codename" => word_of(value).clone_into(&mut seen.codename),
            "machine" => architecture(word_of(value)).clone_into(&mut seen.architecture),
            "owner" => seen.owner = pair(value).ok_or_else(|| format!("owner is `{}`", checked::said(value)))?,
            "systemd" => seen.systemd = true,
            "now" => seen.now = value.parse().map_err(|_| format!("the clock says `{}`", checked::said(value)))?,
            "room" => read_room(&mut seen.room, value),
            "marker" => seen.marker = read_marker(value, &mut seen.broken_marker),
            "key" => seen.key = DigestKey::from_hex(value),
            "serial" => seen.serial = value.trim().parse().unwrap_or(0),
            "held" => {
                seen.lease = match lease::parse(line.as_bytes()) {
                    Some(lease::Answer::Held(held)) => Some(held),
                    _ => None,
                }
            }
            "claims" => seen.claims.note(),
            "astray" => seen.claims.stray(),
            "claim" => seen.claims.own(value),
            "kept" => seen.claims.keep(value),
            "mount" => seen.claims.mount(value),
            "neighbour" => seen.broken_marker |= !seen.claims.conflict(value),
            "directory" => seen.directory_marker = read_marker(value, &mut seen.broken_marker),
            _ => {}
        }
    }
    if seen.architecture.is_empty() { Err("the processor is missing".to_owned()) } else { Ok(seen) }
}

/// Reads the free space of one place. `df` prints `-` for a file system that does not count its blocks.
fn read_room(room: &mut Room, value: &str) {
    let (place, free) = value.split_once(' ').unwrap_or((value, ""));
    let free = free.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024));
    match place {
        "engine" => room.engine = free,
        "state" => room.state = free,
        _ => room.application = free,
    }
}

fn read_marker(json: &str, broken: &mut bool) -> Option<Marker> {
    let marker = Marker::read(json);
    *broken |= marker.is_none();
    marker
}

/// Returns a word that the host sent, or an empty text if it is not a valid word.
fn word_of(value: &str) -> &str {
    checked::word(value).unwrap_or_default()
}

fn pair(value: &str) -> Option<(u32, u32)> {
    let (user, group) = value.split_once(' ')?;
    Some((user.parse().ok()?, group.parse().ok()?))
}

/// Returns Docker's name for a machine that `uname -m` names.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i686" | "i386" => "386",
        other => other,
    }
}

/// Returns the observed facts.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = Facts::new();
    let claimed = host.access.marker.as_ref().filter(|_| host.access.key.is_some());
    if let Some(marker) = claimed {
        facts.insert(MARKER.to_owned(), format!("{}/{}", marker.project, marker.environment));
        if marker.suspended && subject.environment.stage != crate::model::state::Stage::Destroyed {
            facts.insert("suspended".to_owned(), "yes".to_owned());
        }
        if marker.protect {
            facts.insert("protect".to_owned(), "yes".to_owned());
        }
    }
    facts.extend(host.access.claims.conflicts());
    facts
}

/// Returns the desired facts.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let environment = subject.environment;
    let mut facts = Facts::from([(MARKER.to_owned(), format!("{}/{}", environment.project, environment.name))]);
    if protected(subject, host) {
        facts.insert("protect".to_owned(), "yes".to_owned());
    }
    facts
}

/// Refuses the host if something belongs to somebody else: the marker, the directory, objects that another environment
/// claims, or containers that this environment did not start.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    removal_preflight(subject, host)
        .or_else(|| claims::preflight(subject, host))
        .or_else(|| marked(subject, host.access.directory_marker.as_ref()))
}

/// Refuses to remove the data of an environment that is not its own.
#[must_use]
pub fn purge_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    removal_preflight(subject, host)
        .or_else(|| claims::purge_preflight(subject, host))
        .or_else(|| marked(subject, host.access.directory_marker.as_ref()))
}

/// Refuses to remove an environment from its host if the host's marker is another environment's or cannot be read.
/// Objects that other environments claim do not matter here: removal does not touch them.
#[must_use]
pub fn removal_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    if host.access.broken_marker {
        let message = "A marker or a claim below /var/lib/deployer on the host cannot be read";
        return Some(Failure::new(Reason::MarkerMismatch, message));
    }
    marked(subject, host.access.marker.as_ref())
}

fn marked(subject: &Subject<'_>, marker: Option<&Marker>) -> Option<Failure> {
    let (environment, marker) = (subject.environment, marker?);
    let message = if marker.version > FORMAT {
        "The host was last written by a newer deployer".to_owned()
    } else if marker.is_of(environment) {
        return None;
    } else {
        let directory = environment.application.as_ref().map_or("", |application| application.host_directory.as_str());
        let (owner, other) = (&marker.project, &marker.environment);
        format!(
            "{directory} on the host belongs to {owner}/{other}; {}/{} cannot use it",
            environment.project, environment.name
        )
    };
    Some(Failure::new(Reason::MarkerMismatch, message))
}

/// Claims the host: the application's directory and project, our directory, the marker, the digest key and the serial.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    let script = format!(
        r#"umask 077
mkdir -p "$state/releases"
chmod 0700 "$state"
grep -Eqsx '[0-9a-f]{{64}}' "$state/key" || write_whole "$state/key" '%s\n' "$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')"
[ -e "$state/serial" ] || write_whole "$state/serial" '%s\n' 1
{}"#,
        keep("marker.json", &marker::json(subject, host, false))
    );
    let mark = Command {
        title: "write the host's marker".to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: SHORT,
        reason: Reason::UploadFailed,
    };
    let project = subject.environment.application.as_ref().map(|application| application.project.as_str());
    project.and_then(|project| claims::commands(subject, host, project)).into_iter().chain([mark]).collect()
}

/// Writes the marker again, suspended or not.
#[must_use]
pub fn mark(subject: &Subject<'_>, host: &HostFacts, suspended: bool) -> Command {
    let script = format!("umask 077\n{}", keep("marker.json", &marker::json(subject, host, suspended)));
    Command {
        title: "write the marker".to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: SHORT,
        reason: Reason::UploadFailed,
    }
}
