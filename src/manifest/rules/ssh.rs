//! Rules of the `ssh` section. Refuses every value that ssh could take for an option.

use super::scalars::{duration, line, port};
use super::{Reading, shown, values};
use crate::manifest::claim::Need;
use crate::manifest::environment::{Identity, Ssh};
use crate::manifest::faults::Report;
use crate::manifest::spec::{HostKeys, SshSpec};
use crate::manifest::written::{Given, Spot, Written};
use std::time::Duration;

/// OpenSSH key types that a host may have.
const KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Reads the section.
pub fn read(spec: &SshSpec, reading: &mut Reading<'_>) -> Ssh {
    if let Some(user) = &spec.user.0 {
        login(user, reading.report);
    }
    if let Some(jump) = &spec.jump.0 {
        jump_host(jump, reading.report);
    }
    Ssh {
        port: spec.port.0.as_ref().map(|written| port(written, "port", reading.report)),
        user: spec.user.value().cloned(),
        identity: identity(spec, reading),
        host_key: host_keys(&spec.host_key, reading.report),
        jump: spec.jump.value().cloned(),
        sudo_password: spec.sudo_password.0.as_ref().map(|it| values::secret("sudo_password", it, reading)),
        connect_timeout: duration(
            &spec.connect_timeout,
            Duration::from_secs(10),
            false,
            "connect_timeout",
            reading.report,
        ),
        wait: duration(&spec.wait, Duration::from_secs(30), true, "wait", reading.report),
    }
}

/// Refuses login names that OpenSSH refuses or that its option parser would misread.
fn login(user: &Written<String>, report: &mut Report) {
    let refused = |c: char| c.is_whitespace() || c.is_control() || "'`\"\\;&<>|(){}$%#".contains(c);
    if line(user, "user", report) && (user.value.starts_with('-') || user.value.contains(refused)) {
        let message = format!("`{}` is not a login name", shown(&user.value));
        report.fault(user.spot, message, "No dash in front, no spaces, no shell characters");
    }
}

fn jump_host(jump: &Written<String>, report: &mut Report) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@:[]/,".contains(c);
    let option = |hop: &str| hop.is_empty() || hop.starts_with('-') || hop.contains("@-") || hop.contains("//-");
    if !line(jump, "jump", report) {
        return;
    }
    if jump.value.split(',').any(option) || !jump.value.chars().all(allowed) {
        let message = format!("`{}` is not a jump host", shown(&jump.value));
        report.fault(jump.spot, message, "Write [USER@]HOST[:PORT], as for ssh -J");
    }
}

fn identity(spec: &SshSpec, reading: &mut Reading<'_>) -> Option<Identity> {
    if let (Some(_), Some(second)) = (&spec.identity_file.0, &spec.identity.0) {
        let hint = "Keep one of them: a file, or a secret that contains the key";
        reading.report.fault(second.spot, "`identity` and `identity_file` are both given", hint);
    }
    if let Some(file) = &spec.identity_file.0 {
        if let Some(private) = file.value.strip_suffix(".pub") {
            let message = format!("`{}` is a public key", shown(&file.value));
            reading.report.fault(file.spot, message, format!("Name the private key: {}", shown(private)));
            return Some(Identity::File(super::paths::resolve(file, reading)));
        }
        let path = reading.existing(file, Need::Value, "The private key");
        reading.withheld.insert(path.clone());
        return Some(Identity::File(path));
    }
    spec.identity.0.as_ref().map(|written| Identity::Secret(values::secret("identity", written, reading)))
}

fn host_keys(given: &Given<HostKeys>, report: &mut Report) -> Vec<String> {
    let Some(written) = &given.0 else { return Vec::new() };
    let Written { value: HostKeys(keys), spot } = &**written;
    if keys.is_empty() {
        report.fault(*spot, "`host_key` pins no key", "List at least one, or leave the key out");
    }
    keys.iter().map(|key| host_key(key, *spot, report)).collect()
}

fn host_key(key: &Written<String>, list: Spot, report: &mut Report) -> String {
    let mut words = key.value.split_whitespace();
    let (kind, data) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // An SSH key's blob begins with the length of its type's name, so its base64 begins with AAAA.
    let blob = data.starts_with("AAAA")
        && data.len() >= 60
        && data.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    if !KEY_TYPES.contains(&kind) || !blob || key.value.contains(|c: char| c.is_control()) {
        let spot = if key.spot.line == 0 { list } else { key.spot };
        let hint = if KEY_TYPES.contains(&data) {
            "Leave out the host's name: write TYPE BASE64"
        } else if kind.starts_with("SHA256:") || data.starts_with("SHA256:") {
            "A fingerprint is not enough: write TYPE BASE64, as ssh-keyscan prints it after the host's name"
        } else {
            "Write TYPE BASE64, as ssh-keyscan prints it after the host's name: ssh-ed25519 AAAA…"
        };
        report.fault(spot, format!("`{}` is not a host key", shown(&key.value)), hint);
    }
    format!("{kind} {data}")
}
