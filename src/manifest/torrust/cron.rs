//! Converts the time of a crontab line into the form of systemd's `OnCalendar`. Knows only times of a day or of days of
//! the week.

/// Returns the time in five cron fields, if it is a time of each day or of some days of the week.
pub(super) fn calendar(schedule: &str) -> Option<String> {
    const DAYS: [&str; 8] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [minute, hour, "*", "*", days] = fields.as_slice() else { return None };
    let (minute, hour): (u8, u8) = (minute.parse().ok()?, hour.parse().ok()?);
    let time = format!("{hour:02}:{minute:02}");
    if *days == "*" {
        return Some(time);
    }
    let day = |day: &str| DAYS.get(day.parse::<usize>().ok()?).copied();
    let days: Option<Vec<&str>> = days.split(',').map(day).collect();
    Some(format!("{} {time}", days?.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_calendar_are_read_where_they_are_of_days() {
        let read = |text| calendar(text);
        assert_eq!(read("0 3 * * *").as_deref(), Some("03:00"));
        assert_eq!(read("30 22 * * 0,3").as_deref(), Some("Sun,Wed 22:30"));
        for other in ["*/5 * * * *", "0 3 1 * *", "0 3 * * 1-5", "0 3 * * 9", "@daily", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
