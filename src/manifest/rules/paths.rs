//! Converts paths as written to absolute paths, on this machine and on the host. Does not check that they exist.

use super::{Reading, shown};
use crate::manifest::faults::Report;
use crate::manifest::written::Written;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// Directories of the system. An application may be below such a directory but not in it.
const SYSTEM: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/opt/deployer",
    "/proc",
    "/root",
    "/root/.ssh",
    "/run",
    "/sbin",
    "/snap",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/var/tmp",
    "/etc/docker",
    "/etc/ssh",
    "/etc/systemd",
];

/// Directories that an application must not be in or below: they are volatile or have another owner.
const CLOSED: &[&str] = &["/boot", "/dev", "/proc", "/run", "/sys", "/var/lib/deployer", "/var/lib/docker"];

/// Returns a path of this machine, resolved against the manifest's directory, with `~` expanded.
pub fn resolve(written: &Written<String>, reading: &mut Reading<'_>) -> Utf8PathBuf {
    let Written { value: text, spot } = written;
    if text.is_empty() {
        reading.report.fault(*spot, "A path is empty", "Name a file or directory");
    } else if text.contains('\0') {
        reading.report.fault(*spot, "A path cannot contain a NUL character", "Remove it");
    }
    if let Some(rest) = text.strip_prefix('~') {
        match (reading.home, rest.strip_prefix('/')) {
            (Some(home), Some(below)) => return tidy(&home.join(below.trim_start_matches('/'))),
            (Some(home), None) if rest.is_empty() => return home.to_owned(),
            (None, _) if rest.is_empty() || rest.starts_with('/') => {
                reading.report.fault(*spot, "`~` cannot be expanded", "Set HOME, or write the whole path");
            }
            _ => {
                let message = format!("`{}` names another user's home", shown(text));
                reading.report.fault(*spot, message, "Only `~/…` is expanded; write the whole path");
            }
        }
    }
    tidy(&reading.base.join(text))
}

/// Returns true if a path as written leads below the application's directory; `what` is the name of the path in
/// messages.
pub fn below(written: &Written<String>, what: &str, report: &mut Report) -> bool {
    let path = tidy(Utf8Path::new(&written.value));
    let inside = path.components().all(|part| matches!(part, Utf8Component::Normal(_))) && path != "";
    if written.value.contains(char::is_control) || !inside {
        let message = format!("The {what} `{}` is not inside the application's directory", shown(&written.value));
        report.fault(written.spot, message, "Name it relative to application.compose.directory, without `..`");
        return false;
    }
    true
}

/// Checks and returns a directory on the host.
pub fn on_host(written: &Written<String>, report: &mut Report) -> Utf8PathBuf {
    let path = Utf8Path::new(&written.value);
    if let Some((rule, hint)) = host_rule(path) {
        report.fault(written.spot, format!("`{}` {rule}", shown(&written.value)), hint);
    }
    tidy(path)
}

fn host_rule(path: &Utf8Path) -> Option<(&'static str, &'static str)> {
    const HINT: &str = "Use a directory for this application only, such as /opt/NAME or /srv/NAME";
    let tidied = tidy(path);
    if path == "" {
        Some(("is empty", HINT))
    } else if !path.is_absolute() {
        Some(("is not an absolute path", HINT))
    } else if path.components().any(|part| part == Utf8Component::ParentDir) {
        Some(("holds `..`", "Write the path it leads to"))
    } else if path.as_str().contains(|c: char| c.is_control() || matches!(c, ':' | ',' | '\\')) {
        Some(("contains a character that Docker cannot mount", "Leave out `:`, `,`, `\\` and control characters"))
    } else if path.as_str().len() > 200 {
        Some(("is longer than 200 bytes", HINT))
    } else if SYSTEM.contains(&tidied.as_str()) || CLOSED.iter().any(|closed| tidied.starts_with(closed)) {
        Some(("is a directory of the system", HINT))
    } else {
        None
    }
}

/// Returns the path without `.` and without doubled or trailing slashes.
fn tidy(path: &Utf8Path) -> Utf8PathBuf {
    path.components().filter(|part| *part != Utf8Component::CurDir).collect()
}
