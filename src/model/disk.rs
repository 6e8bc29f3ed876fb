//! Full, read-only and failing disks: recognised by errno on this machine, and by the words of the C locale in what a
//! host's programs print, which have no codes. The only place that knows either.

use crate::model::failure::{Failure, Reason};
use std::io::{self, ErrorKind};

/// What our own script says of a disk that loses what it was given.
pub const ALTERED: &str = "does not read back as it was written";

/// The words that programs print for each reason, in lower case: `strerror` of glibc, musl and Go, and programs with
/// words of their own. Of several, the first row counts.
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
    // What `write_whole` says of a disk that loses what it was given.
    (ALTERED, Reason::IoError),
];

/// Which trouble of a disk an error of this machine is, also below wrappers such as those of `tempfile`.
#[must_use]
pub fn by_errno(error: &io::Error) -> Option<Reason> {
    let of = |error: &io::Error| match (error.kind(), error.raw_os_error()) {
        (ErrorKind::StorageFull | ErrorKind::QuotaExceeded, _) => Some(Reason::DiskFull),
        (ErrorKind::ReadOnlyFilesystem, _) => Some(Reason::ReadOnly),
        // EIO; EUCLEAN of Linux, a damaged file system.
        (_, Some(5 | 117)) => Some(Reason::IoError),
        _ => None,
    };
    let mut inner = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    let mut found = of(error);
    while let (None, Some(source)) = (found, inner) {
        found = source.downcast_ref().and_then(of);
        inner = source.source();
    }
    found
}

/// Which trouble of a disk a program's output tells of.
#[must_use]
pub fn by_words(said: &str) -> Option<Reason> {
    // The kernel has the same words where it has no room for another watch or lock, and busybox and musl share one for
    // the shell's own writes, which fail for many reasons.
    let lines = || said.lines().map(str::to_lowercase).filter(|line| !line.contains("inotify"));
    WORDS.iter().find(|(words, _)| lines().any(|line| line.contains(words))).map(|(_, reason)| *reason)
}

impl Failure {
    /// Takes the reason of a disk's trouble at `place` on this machine, where `error` is one.
    #[must_use]
    pub fn or_disk(self, error: &io::Error, place: impl std::fmt::Display) -> Self {
        self.or_disk_reason(by_errno(error), &place.to_string())
    }

    /// Takes the reason of a disk's trouble at `place` on a host, where its programs `said` so.
    #[must_use]
    pub fn or_disk_of_host(self, said: &str, place: impl std::fmt::Display) -> Self {
        self.or_disk_reason(by_words(said), &place.to_string())
    }

    /// Takes this reason of a disk's trouble, where there is one, with advice that names the place.
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
        let failure = Failure::new(Reason::CommandFailed, "Cannot save the plan").or_disk(&full, "/srv/p.plan");
        assert_eq!(failure.reason, Reason::DiskFull);
        assert!(failure.advice().contains("/srv/p.plan"), "{}", failure.advice());
        let denied = io::Error::from_raw_os_error(13);
        assert_eq!(Failure::new(Reason::Usage, "").or_disk(&denied, "/").reason, Reason::Usage);
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
