//! Rules of the archives of the stack's data. Does not run the program in `after`.

use crate::manifest::environment::Backup;
use crate::manifest::report::Report;
use crate::manifest::rules::scalars::{line, whole};
use crate::manifest::rules::shown;
use crate::manifest::spec::{BackupSpec, Whole};
use crate::manifest::tracker::{Database, Tracker};
use crate::manifest::written::{Given, Written};

/// Placeholder for the archive's path in `after`.
const ARCHIVE: &str = "{archive}";
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

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

/// Returns the longest time between two archives, in hours.
fn gap(at: &Written<String>, report: &mut Report) -> Option<u64> {
    let (days, time) =
        at.value.trim().rsplit_once(' ').map_or((None, at.value.trim()), |(days, time)| (Some(days), time));
    let number = |text: &str| text.parse::<u8>().ok().filter(|_| (1..=2).contains(&text.len()));
    let clock = time
        .split_once(':')
        .and_then(|(hour, minute)| Some((number(hour)?, number(minute).filter(|_| minute.len() == 2)?)));
    let of_week = days.map_or(Some([true; 7]), week);
    if let (Some((0..24, 0..60)), Some(week)) = (clock, of_week) {
        return Some(longest(week));
    }
    let message = format!("`{}` is not a time for backups", shown(&at.value));
    report.fault(at.spot, message, "Write `03:00` for each day, or days before it: `Sun 03:00`, `Mon,Thu 03:00`");
    None
}

/// Returns the days of a list such as `Mon,Wed..Fri`.
fn week(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let mut week = [false; 7];
    for part in text.split(',') {
        let (from, to) = part.split_once("..").unwrap_or((part, part));
        let (from, to) = (day(from)?, day(to)?);
        if from > to {
            return None;
        }
        week[from..=to].fill(true);
    }
    Some(week)
}

/// Returns the longest time from one of these days to the next, in hours.
fn longest(week: [bool; 7]) -> u64 {
    let (mut longest, mut since) = (0_u64, 0);
    for day in week.iter().chain(&week) {
        since += 24;
        if *day {
            longest = longest.max(since);
            since = 0;
        }
    }
    // The first interval is cut off at the start of the week. In the second week, every interval is counted in full.
    longest.min(7 * 24)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_between_two_is_what_makes_one_overdue() {
        for (days, hours) in
            [("Sun", 168), ("Mon,Thu", 96), ("Mon..Fri", 72), ("Mon..Sun", 24), ("sat,sun", 144), ("Wed,Sun", 96)]
        {
            assert_eq!(week(days).map(longest), Some(hours), "{days}");
        }
        assert_eq!(longest([true; 7]), 24);
        for wrong in ["", "Fri..Mon", "Mo", "Mon,", "Mon ,Tue"] {
            assert_eq!(week(wrong), None, "{wrong}");
        }
    }
}
