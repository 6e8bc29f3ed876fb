//! Updates: the host installs security updates by itself, as requested. We own one settings file, shared by all
//! environments of the host that ask for updates. Packages and the owner's settings are kept.

use super::contract::exclusive;
use super::{Command, HostFacts, LONG, SHORT, Subject, keep};
use crate::manifest::environment::SecurityUpdates;
use crate::model::checked::{self, Sha256Hex};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::Facts;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// Path of our settings file. The file sorts after the package's own files (20, 50), so that our settings take effect.
const FILE: &str = "/etc/apt/apt.conf.d/60-deployer";

/// State of security updates on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// True if the host has apt.
    pub apt: bool,
    /// True if unattended-upgrades is installed.
    pub installed: bool,
    /// The restart time that this environment last asked for; `None` if it never did.
    pub ours: Option<String>,
    /// Other environments of the host that ask for updates, with their restart times.
    pub others: Vec<(String, String)>,
    /// Digest of our settings file.
    pub file: Option<Sha256Hex>,
    /// The effective settings of apt from all files: on, restart, restart time.
    pub effect: Option<String>,
    /// True if both of apt's timers are enabled and active.
    pub timers: bool,
}

/// Returns the shell that reads this state. The shell reads nothing if this environment neither asks for updates nor
/// ever did.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let asked = if subject.environment.security_updates.is_some() { "true" } else { "[ -e \"$state/updates\" ]" };
    format!(
        r#"if {asked}; then
  [ ! -e "$state/updates" ] || printf 'ours %s\n' "$(cat "$state/updates")"
  for other in /var/lib/deployer/*/updates; do
    [ ! -e "$other" ] || [ "$other" = "$state/updates" ] || printf 'other %s %s\n' "$(basename "${{other%/updates}}")" "$(cat "$other")"
  done
  [ ! -x /usr/bin/unattended-upgrade ] || echo installed
  [ ! -e {FILE} ] || printf 'file %s\n' "$(sha256sum < {FILE})"
  if command -v apt-config >/dev/null; then
    echo apt
    eval "$(apt-config shell enable APT::Periodic::Enable upgrade APT::Periodic::Unattended-Upgrade reboot Unattended-Upgrade::Automatic-Reboot at Unattended-Upgrade::Automatic-Reboot-Time)"
    printf 'effect %s %s %s %s\n' "${{enable:-1}}" "${{upgrade:-0}}" "${{reboot:-false}}" "${{at:-now}}"
  fi
  if [ -d /run/systemd/system ]; then
    systemctl is-enabled -q apt-daily.timer apt-daily-upgrade.timer && systemctl is-active -q apt-daily.timer && systemctl is-active -q apt-daily-upgrade.timer && echo timers
  fi
fi"#
    )
}

/// Reads the probe's lines.
#[must_use]
pub fn parse(output: &[u8]) -> Seen {
    let mut seen = Seen::default();
    for line in String::from_utf8_lossy(output).lines() {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "apt" => seen.apt = true,
            "installed" => seen.installed = true,
            "ours" => seen.ours = Some(checked::said(value)),
            "other" => seen.others.extend(other(value)),
            "file" => seen.file = value.split(' ').next().and_then(Sha256Hex::parse),
            "effect" => seen.effect = Some(checked::said(value)),
            "timers" => seen.timers = true,
            _ => {}
        }
    }
    seen
}

/// Reads another environment's identity and its restart time.
fn other(value: &str) -> Option<(String, String)> {
    let (who, at) = value.split_once(' ')?;
    checked::is_plain(who).then(|| (who.to_owned(), checked::said(at)))
}

/// Returns the restart time in one word, as the host keeps it.
fn time(wish: &SecurityUpdates) -> &str {
    wish.reboot_at.as_deref().unwrap_or("never")
}

/// Returns our settings file for a restart time. Our lists extend the owner's lists, so that security updates are
/// installed in addition to the owner's selection.
fn content(time: &str) -> String {
    let (reboot, at) = if time == "never" { ("false", "now") } else { ("true", time) };
    format!(
        r#"// Written by deployer, which corrects edits: see configure.security_updates in the manifest.
APT::Periodic::Enable "1";
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Origins-Pattern:: "origin=Debian,codename=${{distro_codename}}-security,label=Debian-Security";
Unattended-Upgrade::Allowed-Origins:: "${{distro_id}}:${{distro_codename}}-security";
Unattended-Upgrade::Automatic-Reboot "{reboot}";
Unattended-Upgrade::Automatic-Reboot-Time "{at}";
"#
    )
}

fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

fn worded(time: &str) -> String {
    if time == "never" { "on, no restart".to_owned() } else { format!("on, restart at {time}") }
}

/// Returns the desired facts.
#[must_use]
pub fn desired(subject: &Subject<'_>) -> Facts {
    let Some(wish) = &subject.environment.security_updates else { return Facts::new() };
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Facts::from([
        fact("package", "installed"),
        fact("settings", &worded(time(wish))),
        fact("effect", "as set"),
        fact("timers", "enabled"),
    ])
}

/// Returns the observed facts. If this environment asks for nothing, they contain only what it asked for before.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let seen = &host.updates;
    let mut facts = Facts::new();
    let mut say = |name: &str, value: String| _ = facts.insert(name.to_owned(), value);
    let Some(wish) = &subject.environment.security_updates else {
        if let Some(time) = &seen.ours {
            say("settings", worded(time));
        }
        return facts;
    };
    if seen.installed {
        say("package", "installed".to_owned());
    }
    if seen.timers {
        say("timers", "enabled".to_owned());
    }
    let wanted = time(wish);
    let (reboot, at) = if wanted == "never" { ("false", "now") } else { ("true", wanted) };
    let effective = seen.effect.as_deref() == Some(format!("1 1 {reboot} {at}").as_str());
    let Some(file) = &seen.file else { return facts };
    let is = |time: &str| file.as_str() == digest(&content(time));
    match &seen.ours {
        Some(time) if is(time) => say("settings", worded(time)),
        None if is(wanted) => say("settings", format!("{} (asked for by others)", worded(wanted))),
        _ => say("settings", "changed by hand".to_owned()),
    }
    if effective {
        say("effect", "as set".to_owned());
    } else if is(wanted) {
        say("effect", "overridden in /etc/apt/apt.conf.d".to_owned());
    }
    facts
}

/// Returns true if a difference is drift: the environment already asked for these settings.
#[must_use]
pub fn drifted(subject: &Subject<'_>, host: &HostFacts) -> bool {
    let wanted = subject.environment.security_updates.as_ref().map(time);
    wanted.is_some() && host.updates.ours.as_deref() == wanted
}

/// Refuses a host that does not support updates, or whose other environments ask for different settings.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let wish = subject.environment.security_updates.as_ref()?;
    let seen = &host.updates;
    if !seen.apt {
        let message = format!("The host runs {} {}, which has no apt", host.access.os, host.access.version);
        return Some(Failure::new(Reason::UnsupportedHost, message).hint("Remove configure.security_updates"));
    }
    if !host.access.systemd {
        let message = "The host runs no systemd, which is needed for security updates";
        return Some(Failure::new(Reason::NoSystemd, message).hint("Remove configure.security_updates"));
    }
    let (other, at) = seen.others.iter().find(|(_, at)| at != time(wish))?;
    let message = format!("{other} on this host has other security updates: {}", worded(at));
    let hint = "Give both environments the same configure.security_updates";
    Some(Failure::new(Reason::UpdatesFailed, message).hint(hint))
}

/// Installs and enables the requested updates. Removes our settings if the manifest requests none.
#[must_use]
pub fn commands(subject: &Subject<'_>) -> Vec<Command> {
    let Some(wish) = &subject.environment.security_updates else { return vec![removal(subject)] };
    let script = format!(
        r"{apt}[ -x /usr/bin/unattended-upgrade ] || {{ apt update; apt install -y --no-remove --no-install-recommends unattended-upgrades; }}
umask 077
{keep}printf '%s' {content} > {FILE}.dpkg-new
chmod 0644 {FILE}.dpkg-new
mv {FILE}.dpkg-new {FILE}
systemctl unmask -q apt-daily.timer apt-daily-upgrade.timer </dev/null
systemctl enable -q --now apt-daily.timer apt-daily-upgrade.timer </dev/null
",
        apt = exclusive::apt(),
        keep = keep("updates", time(wish)),
        content = quote(&content(time(wish))),
    );
    vec![Command {
        title: "turn on security updates".to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: LONG,
        reason: Reason::UpdatesFailed,
    }]
}

/// Removes our settings, unless another environment of the host asks for updates. The package is kept.
#[must_use]
pub fn removal(subject: &Subject<'_>) -> Command {
    let script = format!(
        r#"{lock}others=
for other in /var/lib/deployer/*/updates; do [ ! -e "$other" ] || [ "$other" = "$state/updates" ] || others=yes; done
[ -n "$others" ] || rm -f {FILE} {FILE}.dpkg-new
rm -f "$state/updates"
"#,
        lock = exclusive::HOST,
    );
    Command {
        title: "remove the settings of security updates".to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: SHORT.saturating_mul(16),
        reason: Reason::UpdatesFailed,
    }
}
