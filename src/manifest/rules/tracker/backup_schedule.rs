//! Times at which backups are made, and the longest interval between two of them. Knows no time zone.

use crate::manifest::faults::Report;
use crate::manifest::rules::shown;
use crate::manifest::written::Written;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Returns the longest time between two archives, in hours.
pub fn gap(at: &Written<String>, report: &mut Report) -> Option<u64> {
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
