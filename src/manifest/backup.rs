//! Archives that a host makes of an application's data. The application's own script makes them.

use serde::Serialize;

/// Schedule, retention and content of the archives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Schedule of the archives, in the format of systemd's `OnCalendar`.
    pub at: String,
    /// Longest time between two archives, in hours.
    pub gap_hours: u64,
    /// Number of days that an archive is kept. The newest archive is always kept.
    pub keep_days: u64,
    /// Program and arguments, run after each new archive; `{archive}` in an argument is replaced by the archive's path.
    /// Empty if nothing is run.
    pub after: Vec<String>,
    /// Kind of database. An archive of one kind is not restored into another.
    pub database: &'static str,
    /// Image of the service that uses the data.
    pub image: String,
}

impl Backup {
    /// Name of the backup schedule. No other schedule may have it.
    pub const SCHEDULE: &'static str = "backup";
}
