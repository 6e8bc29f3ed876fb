//! Rules of the `configure` keys other than the engine and the firewall: updates, scripts, schedules. Runs no script
//! and does not ask systemd.

use super::scalars::line;
use super::{Reading, shown};
use crate::manifest::claim::Need;
use crate::manifest::environment::{Name, Schedule, Script, SecurityUpdates};
use crate::manifest::faults::Report;
use crate::manifest::spec::{Scalar, ScheduleSpec, ScriptSpec, SecurityUpdatesSpec, Switched, Text};
use crate::manifest::written::{Given, Spot, Written};
use std::collections::BTreeSet;

/// Reads `security_updates`.
pub fn security_updates(given: &Given<Switched<SecurityUpdatesSpec>>, report: &mut Report) -> Option<SecurityUpdates> {
    let spec = match given.value()? {
        Switched::Switch(false) => return None,
        Switched::Switch(true) => return Some(SecurityUpdates { reboot_at: None }),
        Switched::Settings(spec) => spec,
    };
    let reboot_at = spec.reboot_at.0.as_ref().map(|written| {
        let text = if let Text(Scalar::Text(text)) = &written.value { text.clone() } else { String::new() };
        if !is_time(&text) {
            let message = format!("`{}` is not a time of day", shown(report.written(written.spot)));
            report.fault(written.spot, message, "Write hours and minutes, quoted: \"02:00\"");
        }
        text
    });
    Some(SecurityUpdates { reboot_at })
}

fn is_time(text: &str) -> bool {
    let number = |part: &str| part.parse::<u8>().ok().filter(|_| part.len() == 2 && !part.starts_with('+'));
    text.split_once(':').is_some_and(|(hours, minutes)| {
        number(hours).is_some_and(|hours| hours < 24) && number(minutes).is_some_and(|minutes| minutes < 60)
    })
}

/// Reads `scripts`.
pub fn scripts(given: &Given<Vec<Written<ScriptSpec>>>, reading: &mut Reading<'_>) -> Vec<Script> {
    let mut names = BTreeSet::new();
    let mut scripts = Vec::new();
    for written in given.value().into_iter().flatten() {
        let spec = &written.value;
        let name = name(&spec.name, "script", written.spot, &mut names, reading.report);
        let check = shell(&spec.check, "check", reading.report);
        if spec.check.0.is_none() {
            let hint = "Add `check: COMMAND`, which exits with 0 when there is nothing to do";
            reading.report.fault(written.spot, "A script has no `check`", hint);
        }
        let file = spec.file.0.as_ref().map(|file| reading.existing(file, Need::Script, "The script"));
        let run = shell(&spec.run, "run", reading.report);
        if spec.run.0.is_some() == file.is_some() {
            let message = if file.is_some() {
                "A script has both `run` and `file`"
            } else {
                "A script has neither `run` nor `file`"
            };
            reading.report.fault(written.spot, message, "Give it one of `run: COMMAND` and `file: PATH`");
        }
        let undo = spec.undo.0.is_some().then(|| shell(&spec.undo, "undo", reading.report));
        scripts.push(Script { name, check, run, file, undo });
    }
    scripts
}

/// Reads `schedules`.
pub fn schedules(given: &Given<Vec<Written<ScheduleSpec>>>, report: &mut Report) -> Vec<Schedule> {
    let mut names = BTreeSet::new();
    let mut schedules = Vec::new();
    for written in given.value().into_iter().flatten() {
        let spec = &written.value;
        let name = name(&spec.name, "schedule", written.spot, &mut names, report);
        match &spec.at.0 {
            Some(at) => _ = line(at, "at", report),
            None => report.fault(written.spot, "A schedule has no `at`", "Add `at: TIME`, such as `Sun 04:00`"),
        }
        if spec.run.0.is_none() {
            report.fault(written.spot, "A schedule has no `run`", "Add `run: COMMAND`");
        }
        let at = spec.at.value().map_or_else(String::new, |at| at.trim().to_owned());
        schedules.push(Schedule { name, at, run: shell(&spec.run, "run", report) });
    }
    schedules
}

/// Refuses a schedule with a name that deployer uses itself.
pub fn reserve(name: &str, given: &Given<Vec<Written<ScheduleSpec>>>, report: &mut Report) {
    let names = given.value().into_iter().flatten().filter_map(|schedule| schedule.value.name.0.as_ref());
    for taken in names.filter(|taken| taken.value == name) {
        let message = format!("The name `{name}` of a schedule is reserved for application.tracker.{name}");
        report.fault(taken.spot, message, "Choose another name");
    }
}

/// Reads a name that files on the host are named after.
fn name(given: &Given<String>, what: &str, spot: Spot, taken: &mut BTreeSet<String>, report: &mut Report) -> Name {
    let Some(written) = &given.0 else {
        report.fault(spot, format!("A {what} has no name"), "Add `name: NAME`");
        return Name::stand_in(what);
    };
    let name = Name::parse(&written.value).unwrap_or_else(|rule| {
        let message = format!("`{}` is not a {what}'s name", shown(&written.value));
        report.fault(written.spot, message, rule);
        Name::stand_in(&written.value)
    });
    if !taken.insert(written.value.clone()) {
        let message = format!("Two {what}s are named `{}`", shown(&written.value));
        report.fault(written.spot, message, format!("Give each {what} its own name"));
    }
    name
}

/// Reads a shell text of any number of lines.
fn shell(given: &Given<String>, key: &str, report: &mut Report) -> String {
    let Some(written) = &given.0 else { return String::new() };
    if written.value.trim().is_empty() {
        report.fault(written.spot, format!("`{key}` is empty"), "Give it a command");
    } else if written.value.contains('\0') {
        report.fault(written.spot, format!("`{key}` contains a NUL character"), "Remove it");
    }
    written.value.clone()
}
