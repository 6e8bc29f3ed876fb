//! Rules of the archives of the stack's data. Does not run the program in `after`.

use super::backup_schedule::gap;
use crate::manifest::environment::Backup;
use crate::manifest::faults::Report;
use crate::manifest::rules::scalars::{line, whole};
use crate::manifest::spec::{BackupSpec, Whole};
use crate::manifest::tracker::{Database, Tracker};
use crate::manifest::written::{Given, Written};

/// Placeholder for the archive's path in `after`.
const ARCHIVE: &str = "{archive}";

/// Reads the section.
pub fn read(given: &Given<BackupSpec>, tracker: &Tracker, report: &mut Report) -> Option<Backup> {
    let written = given.0.as_ref()?;
    let spec = &written.value;
    let database = match &tracker.database {
        Database::Sqlite { .. } => "sqlite",
        Database::Mysql { host, .. } => {
            if host.is_some() {
                let hint = "Back it up where it runs, and remove `backup`";
                report.fault(
                    written.spot,
                    "`backup` covers only the stack's own database, but `host` names another server",
                    hint,
                );
            }
            "mysql"
        }
    };
    if spec.at.0.is_none() {
        report.fault(written.spot, "`backup` has no `at`", "Add `at: \"03:00\"`");
    }
    let at = spec.at.0.as_ref().and_then(|at| Some((at.value.trim().to_owned(), gap(at, report)?)));
    let (at, gap_hours) = at.unwrap_or_default();
    let image = tracker.images.get("tracker").cloned().unwrap_or_default();
    let (keep_days, after) = (keep_days(&spec.keep_days, report), after(&spec.after, report));
    Some(Backup { at, gap_hours, keep_days, after, database, image })
}

fn keep_days(given: &Given<Whole>, report: &mut Report) -> u64 {
    const DEFAULT: u64 = 7;
    let Some(written) = &given.0 else { return DEFAULT };
    let Some(number) = whole(written, "keep_days", report) else { return DEFAULT };
    if let Ok(days @ 1..=3650) = u64::try_from(number) {
        return days;
    }
    let message = format!("Archives cannot be kept for {number} days");
    report.fault(written.spot, message, "Write a number from 1 to 3650");
    DEFAULT
}

fn after(given: &Given<Vec<Written<String>>>, report: &mut Report) -> Vec<String> {
    let Some(written) = &given.0 else { return Vec::new() };
    let words = &written.value;
    let fine = words.iter().filter(|word| line(word, "after", report)).count() == words.len();
    if words.is_empty() {
        report.fault(written.spot, "`after` is empty", "Write `after: [PROGRAM, ARGUMENT, \"{archive}\"]`");
    } else if fine && !words.iter().any(|word| word.value.contains(ARCHIVE)) {
        let hint = "Put \"{archive}\" where its path belongs";
        report.fault(written.spot, "`after` does not use the archive", hint);
    }
    words.iter().map(|word| word.value.clone()).collect()
}
