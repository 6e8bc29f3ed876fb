//! Archives of an application's data on its host: creation, state and restore. The release's own script knows which
//! data to archive. Making an archive stops no service.

use super::{Command, HostFacts, LONG, Subject};
use crate::manifest::environment::{Application, Backup, Environment, Name, Schedule};
use crate::model::checked::{self, ArchiveName, Sha256Hex};
use crate::model::event::BackupView;
use crate::model::failure::Reason;
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::resource::contract::mount_points::MISSING;
use jiff::Timestamp;
use std::time::Duration;

/// Shell functions that find the live release in root's copy and run the release's data script.
const RELEASE: &str = include_str!("release.sh");
/// Time limit of a command that reads or writes all of the data.
pub const LIMIT: Duration = LONG.saturating_mul(4);
/// Exit code of the schedule's script if the archive was made but the command after it failed.
pub const AFTER_FAILED: i32 = 3;
/// Exit code of a check that refuses an archive.
pub const REFUSED: i32 = 65;

/// State of the archives on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Time since which the host has the schedule, in seconds since 1970.
    pub since: Option<i64>,
    /// The newest archive that was read back and verified.
    pub made: Option<Archive>,
    /// Time and reason of the last attempt's failure, if it failed.
    pub failed: Option<(i64, String)>,
    /// Time and reason of the failure of the command after the last backup, if it failed.
    pub after: Option<(i64, String)>,
    /// The archive whose restore began and did not end.
    pub restoring: Option<ArchiveName>,
}

/// One archive on the host. Each was read back and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Creation time, in seconds since 1970.
    pub at: i64,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of the whole file; `None` if the archive is known only from a list.
    pub sha256: Option<Sha256Hex>,
    /// Name of the archive.
    pub name: ArchiveName,
}

/// Returns the backup settings of an environment's manifest, if there are any.
#[must_use]
pub fn wanted(environment: &Environment) -> Option<&Backup> {
    environment.application.as_ref()?.backup.as_ref()
}

/// Returns the schedule that makes the archives.
#[must_use]
pub fn schedule(environment: &Environment) -> Option<Schedule> {
    let application = environment.application.as_ref()?;
    let backup = application.backup.as_ref()?;
    let name = Name::parse(Backup::SCHEDULE).ok()?;
    Some(Schedule { name, at: backup.at.clone(), run: save(environment, application, backup) })
}

fn save(environment: &Environment, application: &Application, backup: &Backup) -> String {
    let word = |word: &String| word.split("{archive}").map(quote).collect::<Vec<_>>().join("\"$archive\"");
    let after = match backup.after.as_slice() {
        [] => ":".to_owned(),
        words => format!("timeout 6h {}", words.iter().map(word).collect::<Vec<_>>().join(" ")),
    };
    let identity = environment.identity();
    format!(
        "state=/var/lib/deployer/{identity}\napp={}\nidentity={identity}\ndays={}\n{}{RELEASE}{MISSING}after() {{ {after}; }}\n{}",
        quote(application.host_directory.as_str()),
        backup.keep_days,
        identify(environment, backup),
        include_str!("save_and_verify.sh"),
    )
}

/// Returns shell assignments that identify the origin of an archive.
fn identify(environment: &Environment, backup: &Backup) -> String {
    format!(
        "project={} environment={} database={} image={}\n",
        environment.project,
        environment.name,
        backup.database,
        quote(&backup.image)
    )
}

/// Returns the shell that reads the host's state of archives, for use in the schedules' probe.
#[must_use]
pub fn probe(unit: &str) -> String {
    format!(
        r#"
for fact in made failed after restoring; do
  [ ! -s "$state/backups/$fact" ] || printf 'backup %s %s\n' "$fact" "$(head -n 1 "$state/backups/$fact" | head -c 500)"
done
[ ! -e {unit} ] || printf 'backup since %s\n' "$(stat -c %Y {unit})""#
    )
}

/// Reads the probe's lines and ignores others.
#[must_use]
pub fn parse(output: &[u8]) -> Seen {
    let mut seen = Seen::default();
    for line in String::from_utf8_lossy(output).lines() {
        let mut words = line.splitn(4, ' ');
        let (Some("backup"), Some(fact), Some(at)) = (words.next(), words.next(), words.next()) else { continue };
        let Ok(at) = at.parse() else { continue };
        let rest = words.next().unwrap_or_default();
        match fact {
            "since" => seen.since = Some(at),
            "made" => seen.made = archive(at, rest),
            "failed" => seen.failed = Some((at, checked::said(rest))),
            "after" => seen.after = Some((at, checked::said(rest))),
            "restoring" => seen.restoring = ArchiveName::parse(rest),
            _ => {}
        }
    }
    seen
}

fn archive(at: i64, text: &str) -> Option<Archive> {
    let mut words = text.splitn(3, ' ');
    let (bytes, sha256, name) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    Some(Archive { at, bytes, sha256: Some(Sha256Hex::parse(sha256)?), name: ArchiveName::parse(name)? })
}

/// Returns the state of the backups, or `None` if the manifest asks for none.
#[must_use]
pub fn view(subject: &Subject<'_>, host: &HostFacts) -> Option<BackupView> {
    let wanted = wanted(subject.environment)?;
    let seen = &host.backups;
    let text = |said: &(i64, String)| said.1.trim().to_owned();
    let last = seen.made.as_ref().map(|made| made.at);
    Some(BackupView {
        last: last.and_then(|at| Timestamp::from_second(at).ok()),
        archive: seen.made.as_ref().map(|made| made.name.to_string()),
        bytes: seen.made.as_ref().map(|made| made.bytes),
        overdue: overdue(wanted, seen, host.access.now),
        failed: seen.failed.as_ref().map(text),
        after_failed: seen.after.as_ref().map(text),
        restoring: seen.restoring.as_ref().map(ToString::to_string),
    })
}

/// Returns true if the newest archive is older than twice the interval of the schedule. If there is no archive, the
/// time since the schedule was installed counts. Uses the host's own clock.
fn overdue(wanted: &Backup, seen: &Seen, now: i64) -> bool {
    let limit = i64::try_from(wanted.gap_hours).unwrap_or(i64::MAX).saturating_mul(2 * 3600);
    let newest = seen.made.as_ref().map(|made| made.at).max(seen.since.filter(|_| seen.made.is_none()));
    // If no timer is installed yet, the plan reports that.
    seen.since.is_some() && newest.is_some_and(|at| now.saturating_sub(at) > limit)
}

/// Backs up the present data as one more archive, with the schedule's own script. With `local`, the command after the
/// backup does not run.
#[must_use]
pub fn now(subject: &Subject<'_>, local: bool) -> Command {
    let script = format!("{}/schedules/{}", subject.state_directory(), Backup::SCHEDULE);
    let script = format!("cd /\nsh {} {} </dev/null >&2\n", quote(&script), if local { "local" } else { "" });
    let title = "back up the current data".to_owned();
    Command { title, script, input: Input::Empty, limit: LIMIT, reason: Reason::BackupFailed }
}

/// Returns shell that lists the archives as `SECONDS BYTES NAME`, the newest last.
#[must_use]
pub fn list(subject: &Subject<'_>) -> String {
    let directory = quote(&format!("{}/backups", subject.state_directory()));
    format!(
        "[ ! -d {directory} ] || find {directory} -maxdepth 1 -type f -name '*.tar.gz' -printf '%Ts %s %f\\n' | sort -n\n"
    )
}

/// Reads the output of [`list`].
#[must_use]
pub fn parse_list(output: &[u8]) -> Vec<Archive> {
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (at, bytes, name) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?);
        Some(Archive { at, bytes, sha256: None, name: ArchiveName::parse(name)? })
    };
    String::from_utf8_lossy(output).lines().filter_map(line).collect()
}

/// Returns shell that prints at most `count` bytes of an archive, starting at `offset`.
#[must_use]
pub fn part(subject: &Subject<'_>, name: &ArchiveName, offset: u64, count: u64) -> String {
    let file = quote(&format!("{}/backups/{name}", subject.state_directory()));
    format!("tail -c +{} -- {file} | head -c {count}\n", offset.saturating_add(1))
}

/// Archive to restore.
#[derive(Clone)]
pub struct Chosen {
    /// Name of the archive on the host.
    pub name: ArchiveName,
    /// The archive's bytes and their digest in hexadecimal digits, if the archive comes from this machine.
    pub sent: Option<(Input, String)>,
    /// True if the archive may belong to another environment.
    pub other: bool,
}

/// Checks an archive before anything is changed.
#[must_use]
pub fn check(subject: &Subject<'_>, backup: &Backup, chosen: Chosen) -> Command {
    let (input, sent) = chosen.sent.unwrap_or((Input::Empty, String::new()));
    let script = format!(
        "{}name={} sent={sent} other={}\n{}{RELEASE}{}",
        subject.preamble(),
        quote(&chosen.name),
        if chosen.other { "yes" } else { "" },
        identify(subject.environment, backup),
        include_str!("check_before_restore.sh"),
    );
    Command { title: "check the archive".to_owned(), script, input, limit: LIMIT, reason: Reason::BackupInvalid }
}

/// Puts the checked archive's data in place. A record that the restore began remains until [`settle`].
#[must_use]
pub fn restore(subject: &Subject<'_>, name: &ArchiveName) -> Command {
    let script = format!(
        "{}{RELEASE}exec 8>\"$state/backups/.lock\"\nflock -w 600 8\n\
         write_whole \"$state/backups/restoring\" '%s\\n' \"$(date +%s) \"{}\n\
         about_data restore \"$state/backups/.restore/data\" >&2\n",
        subject.preamble(),
        quote(name),
    );
    let title = "put the data back".to_owned();
    Command { title, script, input: Input::Empty, limit: LIMIT, reason: Reason::RestoreUnfinished }
}

/// Deletes the previous data once the services are healthy with the restored data.
#[must_use]
pub fn settle(subject: &Subject<'_>) -> Command {
    let script = format!(
        "{}{RELEASE}about_data settle >&2\n\
         rm -rf \"$state/backups/.restore\" \"$state/backups/.keep\" \"$state/backups/restoring\"\n",
        subject.preamble()
    );
    let title = "remove the previous data".to_owned();
    Command { title, script, input: Input::Empty, limit: LIMIT, reason: Reason::RestoreUnfinished }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gap_hours: u64) -> Backup {
        let (at, image) = (String::new(), String::new());
        Backup { at, gap_hours, keep_days: 7, after: Vec::new(), database: "sqlite", image }
    }

    #[test]
    fn one_that_is_older_than_two_times_is_overdue() {
        let (day, now) = (24 * 3600, 1_800_000_000);
        let seen = |since: Option<i64>, made: Option<i64>| Seen {
            since: since.map(|ago| now - ago),
            made: made.map(|ago| Archive { at: now - ago, bytes: 1, sha256: None, name: name() }),
            ..Seen::default()
        };
        for (since, made, expected) in [
            (Some(9 * day), Some(2 * day), false),
            (Some(9 * day), Some(2 * day + 1), true),
            (Some(day), None, false),
            (Some(2 * day + 1), None, true),
            // A change of the schedule does not make an old archive newer.
            (Some(60), Some(3 * day), true),
            (None, None, false),
        ] {
            assert_eq!(overdue(&asked(24), &seen(since, made), now), expected, "{since:?} {made:?}");
        }
        assert!(!overdue(&asked(168), &seen(Some(30 * day), Some(13 * day)), now));
    }

    fn name() -> ArchiveName {
        ArchiveName::parse("a--b-1.tar.gz").unwrap()
    }

    #[test]
    fn an_archive_with_a_path_as_its_name_is_refused() {
        let digest = "0f".repeat(32);
        for name in
            ["/../../home/.ssh/authorized_keys", "../a--b-1.tar.gz", "/tmp/a.tar.gz", "sub/a.tar.gz", "a.tar.gz b", ""]
        {
            let seen = parse(format!("backup made 17 5 {digest} {name}\nbackup restoring 1 {name}\n").as_bytes());
            assert_eq!(seen, Seen::default(), "{name}");
            assert!(parse_list(format!("17 5 {name}\n").as_bytes()).is_empty(), "{name}");
        }
        assert_eq!(
            parse(b"backup made 17 5 digest a--b-1.tar.gz\nbackup made 17 -5 ab a--b-1.tar.gz\n"),
            Seen::default()
        );
    }

    #[test]
    fn the_answer_of_the_host_is_read() {
        let digest = "0f".repeat(32);
        let said = format!(
            "unit backup 00 *\nbackup made 17 5 {digest} a--b-1.tar.gz\nbackup failed 18 no space left\nbackup after x y\nbackup since 3\n",
        );
        let seen = parse(said.as_bytes());
        let made = Archive { at: 17, bytes: 5, sha256: Sha256Hex::parse(&digest), name: name() };
        let expected = Seen {
            since: Some(3),
            made: Some(made),
            failed: Some((18, "no space left".to_owned())),
            ..Seen::default()
        };
        assert_eq!(seen, expected);
    }
}
