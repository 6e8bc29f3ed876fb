//! Interprets the messages of ssh and sudo. Pure. Does not guess from an exit code what only a message tells.

use crate::model::failure::Reason;

/// Limit in bytes of the messages that are read.
const LARGEST: usize = 64 << 10;

/// Reason why ssh did not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(super) reason: Reason,
    /// True if a later attempt may succeed without a change.
    pub(super) passing: bool,
}

/// Phrases of ssh (9.2 to 10.x, and those of macOS), most specific first. Of several messages, the first row that
/// matches is the cause; the other messages follow from it.
const SSH: &[(&str, Reason, bool)] = &[
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", Reason::HostKeyChanged, false),
    ("has changed and you have requested strict checking", Reason::HostKeyChanged, false),
    ("REVOKED HOST KEY DETECTED", Reason::HostKeyChanged, false),
    ("is revoked", Reason::HostKeyChanged, false),
    ("host key is known for", Reason::HostKeyUnknown, false),
    ("Host key verification failed", Reason::HostKeyUnknown, false),
    ("UNPROTECTED PRIVATE KEY FILE", Reason::KeyUnusable, false),
    ("incorrect passphrase", Reason::KeyPassphrase, false),
    ("Load key ", Reason::KeyUnusable, false),
    ("Permission denied (", Reason::AuthenticationRejected, false),
    ("Too many authentication failures", Reason::AuthenticationRejected, false),
    ("No more authentication methods", Reason::AuthenticationRejected, false),
    ("No supported authentication methods", Reason::AuthenticationRejected, false),
    ("Authentication failed", Reason::AuthenticationRejected, false),
    ("account has expired", Reason::AuthenticationRejected, false),
    ("Bad configuration option", Reason::ConnectionLost, false),
    ("Bad owner or permissions on", Reason::ConnectionLost, false),
    ("Could not resolve hostname", Reason::NameResolution, false),
    ("hostname contains invalid characters", Reason::NameResolution, false),
    ("Unable to negotiate with", Reason::ConnectionRefused, false),
    ("banner line contains invalid characters", Reason::ConnectionRefused, false),
    ("client sent invalid protocol identifier", Reason::ConnectionRefused, false),
    ("invalid format", Reason::ConnectionRefused, false),
    ("Connection refused", Reason::ConnectionRefused, true),
    ("timed out", Reason::ConnectionTimeout, true),
    ("No route to host", Reason::ConnectionTimeout, true),
    ("Host is down", Reason::ConnectionTimeout, true),
    ("etwork is unreachable", Reason::ConnectionTimeout, true),
    ("etwork is down", Reason::ConnectionTimeout, true),
    ("Cannot assign requested address", Reason::ConnectionTimeout, true),
    ("Address not available", Reason::ConnectionTimeout, true),
    // A firewall of this machine rejects the connection.
    ("connect to host", Reason::ConnectionTimeout, true),
    // sshd is starting, is stopping, or has too many connections.
    ("exchange_identification", Reason::ConnectionRefused, true),
    ("banner exchange", Reason::ConnectionRefused, true),
    ("Not allowed at this time", Reason::ConnectionRefused, true),
    ("Connection reset by", Reason::ConnectionRefused, true),
    ("Connection closed by", Reason::ConnectionRefused, true),
    ("closed by remote host", Reason::ConnectionRefused, true),
];

/// Returns why ssh did not connect, from its log (which holds no banner), and the line that shows it.
///
/// An unknown message is `ConnectionLost`; its line is shown unchanged.
pub(crate) fn of_ssh(said: &str) -> (Trouble, String) {
    let said = &said[..said.floor_char_boundary(LARGEST)];
    let lines = || said.lines().map(|line| line.trim().trim_start_matches("ssh: ")).filter(|line| !line.is_empty());
    for (phrase, reason, passing) in SSH {
        if let Some(line) = lines().find(|line| line.contains(phrase)) {
            return (Trouble { reason: *reason, passing: *passing }, plain(line));
        }
    }
    let last = lines().next_back().unwrap_or("ssh ended without a message");
    (Trouble { reason: Reason::ConnectionLost, passing: false }, plain(last))
}

/// Returns a line without its banner of `@`, its trailing dot, and the address that the message names anyway.
fn plain(line: &str) -> String {
    let line = line.trim_matches(|c: char| c == '@' || c.is_whitespace()).trim_end_matches(['.', '!']);
    let line = line.strip_prefix("connect to host ").and_then(|rest| Some(rest.rsplit_once(": ")?.1)).unwrap_or(line);
    line.to_owned()
}

/// Phrases of sudo, sudo-rs and of shells that did not find sudo, under `LC_ALL=C`.
const SUDO: &[(&str, Reason)] = &[
    ("password is required", Reason::SudoPassword),
    ("authentication is required", Reason::SudoPassword),
    ("no password was provided", Reason::SudoPassword),
    ("incorrect password", Reason::SudoPassword),
    ("incorrect authentication", Reason::SudoPassword),
    ("Authentication failure", Reason::SudoPassword),
    ("authentication failed", Reason::SudoPassword),
    ("a terminal is required to read the password", Reason::SudoPassword),
    ("must have a tty", Reason::SudoMissing),
    ("not in the sudoers file", Reason::SudoMissing),
    ("may not run sudo", Reason::SudoMissing),
    ("is not allowed to", Reason::SudoMissing),
    ("not allowed to run sudo", Reason::SudoMissing),
    ("sudo: not found", Reason::SudoMissing),
    ("sudo: command not found", Reason::SudoMissing),
    ("sudo: No such file", Reason::SudoMissing),
    ("sudo: Permission denied", Reason::SudoMissing),
    ("must be owned by uid 0", Reason::SudoMissing),
    ("effective uid is not 0", Reason::SudoMissing),
    ("no new privileges", Reason::SudoMissing),
    ("account validation failure", Reason::SudoMissing),
    ("expired", Reason::SudoMissing),
    ("afraid I can't do that", Reason::SudoMissing),
    ("no valid sudoers sources found", Reason::SudoMissing),
    ("unable to open /etc/sudoers", Reason::SudoMissing),
];

/// Returns why a script did not begin, from its standard error; `None` if sudo is not the cause.
pub(crate) fn of_sudo(said: &str) -> Option<(Reason, String)> {
    let said = &said[..said.floor_char_boundary(LARGEST)];
    SUDO.iter().find_map(|(phrase, reason)| {
        let line = said.lines().find(|line| line.contains(phrase))?;
        Some((*reason, line.replace(super::script::PROMPT, "").trim().trim_end_matches('.').to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Returns the cases of a directory: name, first line (expected reason), second line (expected line), text.
    fn cases(directory: &str) -> Vec<(String, String, String, String)> {
        let directory = format!("{}/tests/cases/{directory}", env!("CARGO_MANIFEST_DIR"));
        let mut cases: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let text = fs::read_to_string(&path).unwrap();
                let (expected, rest) = text.split_once('\n').unwrap();
                let (cited, said) = rest.split_once('\n').unwrap();
                (path.display().to_string(), expected.to_owned(), cited.to_owned(), said.to_owned())
            })
            .collect();
        cases.sort();
        assert!(cases.len() > 5);
        cases
    }

    /// Checks every case and reports all that differ together.
    fn compare(directory: &str, read: impl Fn(&str) -> (String, String)) {
        let wrong: Vec<_> = cases(directory)
            .into_iter()
            .filter_map(|(name, expected, cited, said)| {
                let (found, line) = read(&said);
                ((&found, &line) != (&expected, &cited)).then(|| format!("{name}\n{found}\n{line}\n"))
            })
            .collect();
        assert!(wrong.is_empty(), "these are read otherwise than expected:\n{}", wrong.concat());
    }

    #[test]
    fn ssh_is_understood() {
        compare("ssh", |said| {
            let (trouble, line) = of_ssh(said);
            (format!("{}, {}", trouble.reason.code(), if trouble.passing { "passing" } else { "lasting" }), line)
        });
    }

    #[test]
    fn sudo_is_understood() {
        compare("sudo", |said| match of_sudo(said) {
            Some((reason, line)) => (reason.code().to_owned(), line),
            None => ("none".to_owned(), String::new()),
        });
    }
}
