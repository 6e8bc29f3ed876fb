//! Detection of full, read-only and failing disks: by errno on this machine, and by the C locale's error texts in the
//! output of a host's programs, which has no error codes. No other module knows either.

use crate::model::failure::{Failure, Reason};
use std::error::Error;
use std::io::{self, ErrorKind};

/// Message of our own script if a file does not read back as it was written.
pub const ALTERED: &str = "does not read back as it was written";

/// Messages that programs print for each reason, in lower case: `strerror` of glibc, musl and Go, and the messages of
/// individual programs. If several match, the first row applies.
const WORDS: &[(&str, Reason)] = &[
    ("no space left on device", Reason::DiskFull),
    ("disk quota exceeded", Reason::DiskFull),
    // apt, git and SQLite.
    ("you don't have enough free space in", Reason::DiskFull),
    ("out of diskspace", Reason::DiskFull),
    ("database or disk is full", Reason::DiskFull),
    ("read-only file system", Reason::ReadOnly),
    ("input/output error", Reason::IoError),
    ("structure needs cleaning", Reason::IoError),
    ("disk i/o error", Reason::IoError),
    // Printed by `write_whole` if a file does not read back as it was written.
    (ALTERED, Reason::IoError),
];

/// Returns the disk problem that an error on this machine or one of its causes reports.
#[must_use]
pub fn by_errno(error: &(dyn Error + 'static)) -> Option<Reason> {
    let io = error.downcast_ref::<io::Error>();
    let found = io.and_then(|error| match (error.kind(), error.raw_os_error()) {
        (ErrorKind::StorageFull | ErrorKind::QuotaExceeded, _) => Some(Reason::DiskFull),
        (ErrorKind::ReadOnlyFilesystem, _) => Some(Reason::ReadOnly),
        // EIO, and Linux's EUCLEAN (a damaged file system).
        (_, Some(5 | 117)) => Some(Reason::IoError),
        _ => None,
    });
    // The source of an `io::Error` is the source of the error in it.
    let inner = io.and_then(io::Error::get_ref).map(|inner| inner as &(dyn Error + 'static));
    found.or_else(|| by_errno(inner.or_else(|| error.source())?))
}

/// Returns the disk problem that a program's output reports.
#[must_use]
pub fn by_words(said: &str) -> Option<Reason> {
    // The kernel uses the same words if it cannot add another inotify watch. The shells of busybox and musl use one
    // message for all failures of their writes, which have many causes.
    let lines = || said.lines().map(str::to_lowercase).filter(|line| !line.contains("inotify"));
    WORDS.iter().find(|(words, _)| lines().any(|line| line.contains(words))).map(|(_, reason)| *reason)
}

impl Failure {
    /// Replaces the reason if the cause is a disk problem at `place` on this machine.
    #[must_use]
    pub fn or_disk(self, place: impl std::fmt::Display) -> Self {
        let reason = by_errno(&self);
        self.or_disk_reason(reason, &place.to_string())
    }

    /// Replaces the reason if the output `said` of a host's programs reports a disk problem at `place`.
    #[must_use]
    pub fn or_disk_of_host(self, said: &str, place: impl std::fmt::Display) -> Self {
        self.or_disk_reason(by_words(said), &place.to_string())
    }

    /// Replaces the reason if there is a disk problem, and adds a hint that names the place.
    #[must_use]
    pub(crate) fn or_disk_reason(mut self, reason: Option<Reason>, place: &str) -> Self {
        let Some(reason) = reason else { return self };
        self.reason = reason;
        self.hint(match reason {
            Reason::ReadOnly => format!("Make the file system of {place} writable again, as in: mount -o remount,rw"),
            Reason::IoError => format!("Look for the disk's errors with dmesg at {place}"),
            _ => format!("Free some space at {place}; df -h shows which file system is full"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_hosts_are_understood() {
        let full = Some(Reason::DiskFull);
        for (said, reason) in [
            ("cat: write error: No space left on device", full),
            ("sh: 1: cannot create /var/lib/deployer/x: No space left on device", full),
            ("dd: writing to '/x': No space left on device", full),
            ("mkdir: can't create directory '/x': No space left on device", full),
            ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", full),
            ("Error response from daemon: mkdir /var/lib/docker/overlay2/x: no space left on device", full),
            ("E: You don't have enough free space in /var/cache/apt/archives/.", full),
            ("E: Write error - write (28: No space left on device)", full),
            ("cp: error writing 'x': Disk quota exceeded", full),
            ("Error: in prepare, database or disk is full (13)", full),
            ("touch: cannot touch 'x': Read-only file system", Some(Reason::ReadOnly)),
            ("open /var/lib/docker/x: read-only file system", Some(Reason::ReadOnly)),
            ("cat: x: Input/output error", Some(Reason::IoError)),
            ("read /x: input/output error", Some(Reason::IoError)),
            ("ls: cannot access 'x': Structure needs cleaning", Some(Reason::IoError)),
            ("x.new does not read back as it was written", Some(Reason::IoError)),
            ("tar: x: Input/output error\ntar: y: Cannot write: No space left on device", full),
            ("Failed to add inotify watch: No space left on device", None),
            ("sh: 1: echo: echo: I/O error", None),
            ("permission denied", None),
            ("", None),
        ] {
            assert_eq!(by_words(said), reason, "{said}");
        }
    }

    #[test]
    fn errors_of_this_machine_are_understood() {
        for (errno, reason) in [
            (28, Some(Reason::DiskFull)),
            (122, Some(Reason::DiskFull)),
            (30, Some(Reason::ReadOnly)),
            (5, Some(Reason::IoError)),
            (117, Some(Reason::IoError)),
            (13, None),
            (2, None),
        ] {
            assert_eq!(by_errno(&io::Error::from_raw_os_error(errno)), reason, "{errno}");
            let wrapped = io::Error::other(io::Error::from_raw_os_error(errno));
            assert_eq!(by_errno(&wrapped), reason, "{errno}, wrapped");
        }
        let full = io::Error::from_raw_os_error(28);
        let failure = Failure::new(Reason::CommandFailed, "Cannot save the plan").because(full).or_disk("/srv/p.plan");
        assert_eq!(failure.reason, Reason::DiskFull);
        assert!(failure.advice().contains("/srv/p.plan"), "{}", failure.advice());
        let denied = io::Error::from_raw_os_error(13);
        assert_eq!(Failure::new(Reason::Usage, "").because(denied).or_disk("/").reason, Reason::Usage);
    }

    #[test]
    fn a_real_full_disk_is_understood() {
        use std::io::Write as _;
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(by_errno(&full.write_all(b"x").unwrap_err()), Some(Reason::DiskFull));
        let denied = tempfile::NamedTempFile::new_in("/proc/self").unwrap_err();
        assert_eq!(by_errno(&denied), None);
    }
}
