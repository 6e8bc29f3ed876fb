//! Checks of the running application as shell for the host's own loopback. This module does not decide what a failed
//! check means.

use crate::manifest::environment::{Check, CheckProbe, Vantage};
use crate::model::shell::quote;
use std::fmt::Write as _;

/// Result of a check that passes.
pub const PASSES: &str = "passes";

/// Returns shell that performs the checks from the host and prints one line `check FOUND<TAB>NAME` for each. The shell
/// uses curl if the host has it, otherwise bash's `/dev/tcp`. Both are part of a usual Debian or Ubuntu.
#[must_use]
pub fn probe(checks: &[Check]) -> String {
    let mut script = String::new();
    for check in checks.iter().filter(|check| check.from == Vantage::Host) {
        let name = quote(&check.name);
        let _ = match &check.probe {
            CheckProbe::Tcp(port) => writeln!(script, "check_tcp {name} {port}"),
            CheckProbe::Http { port, path, status, contains, tls, host } => {
                let scheme = if *tls { "https" } else { "http" };
                let authority = host.as_deref().unwrap_or("localhost");
                let needle = quote(contains.as_deref().unwrap_or(""));
                let (authority, path) = (quote(authority), quote(path));
                writeln!(script, "check_http {name} {port} {path} {status} {needle} {scheme} {authority}")
            }
        };
    }
    if script.is_empty() { script } else { format!("{FUNCTIONS}{script}wait\n") }
}

const FUNCTIONS: &str = r#"found() { printf 'check %s\t%s\n' "$2" "$1"; }
check_tcp() {
  if timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/"$1"' - "$2" 2>/dev/null; then found "$1" passes; else found "$1" 'connection refused'; fi
}
check_http() {
  if command -v curl >/dev/null; then
    [ "$7" = localhost ] && trust=-k || trust=
    answer=$({
      body=$(curl -gs $trust -m 5 --noproxy '*' --resolve "$7:$2:127.0.0.1" -w '%{stderr}%{http_code}\n' -- "$6://$7:$2$3" 2>&4 |
        head -c 4194304 | tr -d '\000')
      case "$body" in *"$5"*) echo found;; esac
    } 4>&1) || true
    status=${answer%%[!0-9]*}
    case "$answer" in *found) held=yes;; *) held=;; esac
  elif [ "$6" = http ]; then
    answer=$(timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/"$1"; printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$3" >&3; cat <&3' - "$2" "$3" "$7" 2>/dev/null |
      head -c 4194304 | tr -d '\000') || true
    status=$(printf '%.64s' "$answer")
    status=${status#* }
    status=${status%%[!0-9]*}
    case "$answer" in *"$5"*) held=yes;; *) held=;; esac
  else
    found "$1" 'cannot be checked: the host has no curl'
    return
  fi
  case "$status" in '' | 000 | *[!0-9]*) found "$1" 'no answer'; return;; esac
  if [ "$status" != "$4" ]; then found "$1" "status $status instead of $4"; return; fi
  if [ -n "$held" ]; then found "$1" passes; else found "$1" 'the response does not contain the text'; fi
}
"#;

/// Reads one line: the result and the check's name, separated by a tab.
#[must_use]
pub fn parse(line: &str) -> Option<(String, String)> {
    let (found, name) = line.split_once('\t')?;
    Some((found.to_owned(), name.to_owned()))
}
