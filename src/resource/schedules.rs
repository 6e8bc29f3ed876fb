//! Schedules: commands that the host runs at certain times, as our own systemd timers. Units that are not named after
//! this environment are not touched.

use super::contract::claims;
use super::release_identity::project;
use super::{Command, HostFacts, SHORT, Subject, backups};
use crate::manifest::environment::{Backup, Schedule};
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::Facts;
use camino::Utf8Path;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Schedules on the host, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Our own units.
    pub units: BTreeMap<String, Unit>,
}

/// Timer with its service and its script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Digest of all three files.
    pub digest: String,
    /// The time at which it runs.
    pub at: String,
    /// The timer's systemd properties: name → value.
    pub state: BTreeMap<String, String>,
}

/// Returns the prefix of our units' names. The prefix ends with two dashes. A schedule's own name contains no two
/// dashes, so no other environment's units have the same prefix.
fn prefix(subject: &Subject<'_>) -> String {
    format!("deployer-{}--", subject.environment.identity())
}

/// Returns the shell that reads schedules and backups.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    format!(
        r#"units=/etc/systemd/system/{prefix}
names() {{
  for file in "$units"*.service "$units"*.timer "$state/schedules/"*; do
    [ -e "$file" ] || continue
    file=${{file##*/}}
    file=${{file#{prefix}}}
    echo "${{file%.*}}"
  done | sort -u
}}
for name in $(names); do
  printf 'unit %s %s %s\n' "$name" "$(cat "$units$name.service" "$units$name.timer" "$state/schedules/$name" | sha256sum | cut -c 1-16)" "$(sed -n 's/^OnCalendar=//p' "$units$name.timer" | head -n 1)"
  [ ! -d /run/systemd/system ] || systemctl show -p UnitFileState,ActiveState,NeedDaemonReload -- "{prefix}$name.timer" | sed "s/^/state $name /"
done{backups}"#,
        prefix = prefix(subject),
        backups = backups::probe(&format!("\"${{units}}{}.timer\"", Backup::SCHEDULE)),
    )
}

/// Returns the schedules that the host must have.
fn wanted(subject: &Subject<'_>) -> Vec<Schedule> {
    subject.environment.schedules.iter().cloned().chain(backups::schedule(subject.environment)).collect()
}

/// Reads the probe's lines.
#[must_use]
pub fn parse(output: &[u8]) -> Seen {
    let mut seen = Seen::default();
    for line in String::from_utf8_lossy(output).lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(word), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else { continue };
        match word {
            "unit" | "state" if !checked::is_plain(name) => {}
            "unit" => {
                let (digest, at) = rest.split_once(' ').unwrap_or((rest, ""));
                let unit = seen.units.entry(name.to_owned()).or_default();
                (unit.digest, unit.at) = (checked::said(digest), checked::said(at));
            }
            "state" => {
                let unit = seen.units.entry(name.to_owned()).or_default();
                unit.state.extend(rest.split_once('=').map(|(key, value)| (checked::said(key), checked::said(value))));
            }
            _ => {}
        }
    }
    seen
}

/// Returns the three files of a schedule: its service, its timer, and the script that the service runs.
fn files(subject: &Subject<'_>, schedule: &Schedule) -> [String; 3] {
    let environment = subject.environment;
    let (identity, name) = (environment.identity(), &schedule.name);
    let head = "# Written by deployer, which corrects edits: see configure.schedules in the manifest.\n[Unit]\n";
    let what = format!("Description={}/{}: {name}\n", environment.project, environment.name);
    let service = format!(
        "{head}{what}After=docker.service\n\n[Service]\nType=oneshot\n\
         ExecStart=/bin/sh /var/lib/deployer/{identity}/schedules/{name}\n"
    );
    let timer = format!(
        "{head}{what}\n[Timer]\nOnCalendar={}\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n",
        schedule.at
    );
    // A backup does not run in the application's directory, which users other than root can change.
    let application = environment.application.as_ref().filter(|_| name.as_str() != Backup::SCHEDULE);
    let place =
        application.map_or_else(String::new, |application| enter(&application.host_directory, identity.as_str()));
    [service, timer, format!("{place}{}\n", schedule.run.trim_end_matches('\n'))]
}

/// Returns shell that enters the application's directory if that leads where the environment's claim says. A service
/// that can write above it may have put a link in its place.
fn enter(directory: &Utf8Path, identity: &str) -> String {
    let claim = format!("real {directory}/");
    format!(
        "cd -P -- {directory} && [ {claim}\"$PWD\" = \"$(grep -F -- {known} /var/lib/deployer/{identity}/claims)\" ] || {{\n  \
         echo {refusal} >&2\n  exit 1\n}}\n",
        known = quote(&format!("{claim}/")),
        claim = quote(&claim),
        refusal = quote(&format!("Cannot enter {directory}: it does not lead where it led when it was claimed")),
        directory = quote(directory.as_str()),
    )
}

fn digest(subject: &Subject<'_>, schedule: &Schedule) -> String {
    let bytes = Sha256::digest(files(subject, schedule).concat());
    HEXLOWER.encode(&bytes[..8])
}

fn value(at: &str, digest: &str) -> String {
    format!("{at} sha256:{digest}")
}

/// Returns the desired facts.
#[must_use]
pub fn desired(subject: &Subject<'_>) -> Facts {
    let fact = |one: &Schedule| (one.name.to_string(), value(&one.at, &digest(subject, one)));
    wanted(subject).iter().map(fact).collect()
}

/// Returns the observed facts.
#[must_use]
pub fn observed(host: &HostFacts) -> Facts {
    let fact = |(name, unit): (&String, &Unit)| {
        let mut text = value(&unit.at, &unit.digest);
        let is = |key: &str, value: &str| unit.state.get(key).is_some_and(|found| found == value);
        for (wrong, word) in [
            (!is("UnitFileState", "enabled"), ", not enabled"),
            (!is("ActiveState", "active"), ", not active"),
            (is("NeedDaemonReload", "yes"), ", not loaded"),
        ] {
            text += if wrong { word } else { "" };
        }
        (name.clone(), text)
    };
    host.schedules.units.iter().map(fact).collect()
}

/// Returns true if a difference is drift: the host has exactly the manifest's units, with the manifest's times.
#[must_use]
pub fn drifted(subject: &Subject<'_>, host: &HostFacts) -> bool {
    let kept = &host.schedules.units;
    let wanted = wanted(subject);
    kept.len() == wanted.len() && wanted.iter().all(|one| kept.get(one.name.as_str()).is_some_and(|it| it.at == one.at))
}

/// Refuses a host without systemd.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    if host.access.systemd || wanted(subject).is_empty() {
        return None;
    }
    let message = "The host runs no systemd, which is needed for schedules";
    Some(Failure::new(Reason::NoSystemd, message).hint("Remove configure.schedules and backup"))
}

/// Checks the times with systemd, then writes, loads and starts the timers that differ.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    let (observed, desired) = (observed(host), desired(subject));
    let differs = |one: &&Schedule| observed.get(one.name.as_str()) != desired.get(one.name.as_str());
    let wanted = wanted(subject);
    let differing: Vec<&Schedule> = wanted.iter().filter(differs).collect();
    let gone: Vec<&String> = observed.keys().filter(|name| !desired.contains_key(*name)).collect();
    let command = |title: &str, script: String, reason| Command {
        title: title.to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: SHORT,
        reason,
    };
    let mut commands = Vec::new();
    if !differing.is_empty() {
        // A schedule enters only a directory whose claim tells where it leads. Former versions did not note that.
        commands.extend(claims::commands(subject, host, project(subject, host)));
        commands.push(command("read the times of the schedules", times(&differing), Reason::ScheduleInvalid));
    }
    let script = take_off(subject, &gone) + &put(subject, &differing);
    commands.push(command("install the schedules", script, Reason::CommandFailed));
    commands
}

fn times(schedules: &[&Schedule]) -> String {
    let line = |one: &&Schedule| {
        let at = quote(&one.at);
        format!(
            "said=$(systemd-analyze calendar -- {at} 2>&1 </dev/null) || \
             {{ printf '%s\\n' \"$said\" {} >&2; exit 1; }}\n",
            quote(&format!("The schedule {} has a time that systemd does not understand: {}", one.name, one.at))
        )
    };
    schedules.iter().map(line).collect()
}

fn put(subject: &Subject<'_>, schedules: &[&Schedule]) -> String {
    if schedules.is_empty() {
        return String::new();
    }
    let prefix = prefix(subject);
    let mut script = r#"mkdir -p -m 0700 "$state/schedules"
put() { write_whole "$1" %s "$2" 0644; }
"#
    .to_owned();
    for schedule in schedules {
        let unit = format!("/etc/systemd/system/{prefix}{}", schedule.name);
        let [service, timer, text] = files(subject, schedule).map(|text| quote(&text));
        let _ = write!(
            script,
            "put \"$state/schedules/\"{} {text}\nput {unit}.service {service}\nput {unit}.timer {timer}\n",
            schedule.name
        );
    }
    let timers = schedules.iter().fold(String::new(), |text, one| text + " " + &prefix + one.name.as_str() + ".timer");
    // After a change of its time, a timer must not count as missed.
    let stamps = timers.replace(" deployer-", " /var/lib/systemd/timers/stamp-deployer-");
    let _ = write!(
        script,
        "touch -c{stamps}\nsystemctl daemon-reload\nsystemctl enable -q{timers} </dev/null\nsystemctl restart{timers} </dev/null\n"
    );
    script
}

/// Returns shell that removes schedules and everything that systemd keeps of them.
#[must_use]
pub fn take_off(subject: &Subject<'_>, names: &[&String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let prefix = prefix(subject);
    let names = names.iter().fold(String::new(), |text, name| text + " " + &quote(name));
    format!(
        r#"for name in{names}; do
  unit={prefix}$name
  if [ -d /run/systemd/system ]; then
    systemctl disable -q --now "$unit.timer" </dev/null || :
    systemctl stop "$unit.service" </dev/null || :
  fi
  rm -f "/etc/systemd/system/$unit.timer" "/etc/systemd/system/$unit.service" "$state/schedules/$name" "/var/lib/systemd/timers/stamp-$unit.timer"
  [ ! -d /run/systemd/system ] || {{ systemctl daemon-reload; systemctl reset-failed "$unit.timer" "$unit.service" 2>/dev/null || :; }}
done
[ ! -d "$state/schedules" ] || rmdir --ignore-fail-on-non-empty "$state/schedules"
"#
    )
}
