//! Firewalls on a host, and the shell that reads them. This module does not decide what is wanted.

use super::Opening;
use crate::model::checked;
use crate::model::shell::quote;
use crate::resource::Subject;
use crate::resource::listeners::{LISTENING, Listener};
use std::collections::BTreeSet;

/// Firewalls on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The method to use: `nftables`, `ufw` or `firewalld`.
    pub way: String,
    /// The method that was used last.
    pub used: String,
    /// This environment's openings in the host's rules, if it has any.
    pub own: Option<BTreeSet<Opening>>,
    /// The openings of other environments.
    pub others: BTreeSet<Opening>,
    /// State of the host's rules; empty if there are none.
    pub rules: String,
    /// The ports that sshd listens on.
    pub ssh: BTreeSet<u16>,
    /// The SSH ports that the rules allow.
    pub ruled_ssh: BTreeSet<u16>,
    /// True if the rules are restored at boot.
    pub boot: bool,
    /// True if the host has `nft`.
    pub nft: bool,
    /// True if the host has apt to install packages.
    pub apt: bool,
    /// Ports with a listener beyond loopback, as (port, protocol).
    pub listening: BTreeSet<(u16, String)>,
}

/// Returns the shell that reads the firewalls. On a host without rules of ours, the shell reads only if rules are
/// wanted.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let wanted = if subject.environment.firewall.is_some() { "yes" } else { "" };
    format!(
        "id={}\nif [ -n \"{wanted}\" ] || [ -e \"/var/lib/deployer/firewall/fragments/$id\" ]; then\n{LISTENING}{}\n{}fi",
        quote(&subject.environment.identity()),
        super::HOST,
        include_str!("probe.sh")
    )
}

/// Reads the probe's lines.
#[must_use]
pub fn parse(output: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let ports = |value: &str| value.split(' ').filter_map(|port| port.parse().ok()).collect();
    for line in String::from_utf8_lossy(output).lines() {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "way" => checked::word(value).unwrap_or_default().clone_into(&mut seen.way),
            "used" => checked::word(value).unwrap_or_default().clone_into(&mut seen.used),
            "on" => _ = seen.own.get_or_insert_default(),
            "own" => seen.own.get_or_insert_default().extend(Opening::parse(value)),
            "other" => seen.others.extend(Opening::parse(value)),
            "rules" => seen.rules = checked::said(value),
            "ssh" => seen.ssh = ports(value),
            "ruled" => seen.ruled_ssh = ports(value),
            "boot" => seen.boot = true,
            "nft" => seen.nft = true,
            "apt" => seen.apt = true,
            "listening" => {
                let listener = Listener::parse(value).ok().flatten().filter(|listener| !listener.is_loopback());
                seen.listening.extend(listener.map(|listener| (listener.port, listener.protocol)));
            }
            _ => {}
        }
    }
    seen
}
