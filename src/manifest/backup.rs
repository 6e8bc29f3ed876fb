//! Archives that a host makes of an application's data. Never says how: that is for the application's own script.

use serde::Serialize;

/// When they are made, how long they stay, and what they are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// When, as systemd's `OnCalendar` says it.
    pub at: String,
    /// The longest time between two of them, in hours.
    pub gap_hours: u64,
    /// How many days one stays; the newest stays longer.
    pub keep_days: u64,
    /// A program with its arguments, run for each new one; `{archive}` in it is its path. Empty where there is none.
    pub after: Vec<String>,
    /// The kind of data: one kind is not restored into another.
    pub database: &'static str,
    /// The image of what works with the data.
    pub image: String,
}

impl Backup {
    /// The name of its schedule, which no other may have.
    pub const SCHEDULE: &'static str = "backup";
}
