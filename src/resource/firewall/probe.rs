//! What a host has of firewalls, and the shell that reads it. Never decides what is wanted.

use super::Opening;
use crate::model::checked;
use crate::model::shell::quote;
use crate::resource::Subject;
use std::collections::BTreeSet;

/// What the host has of firewalls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `nftables`, `ufw` or `firewalld`: what is to be used.
    pub way: String,
    /// What was used last.
    pub used: String,
    /// This environment's part in the host's rules, where it has one.
    pub own: Option<BTreeSet<Opening>>,
    /// The parts of other environments.
    pub others: BTreeSet<Opening>,
    /// How the host's rules stand; empty where there are none.
    pub rules: String,
    /// The ports sshd listens on.
    pub ssh: BTreeSet<u16>,
    /// The ports of SSH that the rules let through.
    pub ruled_ssh: BTreeSet<u16>,
    /// Whether the rules come back at boot.
    pub boot: bool,
    /// Whether there is an `nft`.
    pub nft: bool,
    /// Whether packages can be installed.
    pub apt: bool,
    /// Ports that something listens on beyond loopback, as (port, protocol).
    pub listening: BTreeSet<(u16, String)>,
}

/// The shell that reads it; on a host without rules of ours, only where they are wanted.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let wanted = if subject.environment.firewall.is_some() { "yes" } else { "" };
    format!(
        "id={}\nif [ -n \"{wanted}\" ] || [ -e \"/var/lib/deployer/firewall/fragments/$id\" ]; then\n{}\n{}fi",
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
            "listening" => seen.listening.extend(listening(value)),
            _ => {}
        }
    }
    seen
}

/// A line of the kernel's list of sockets: `tcp ADDRESS:PORT` in hexadecimal; loopback is left out.
fn listening(value: &str) -> Option<(u16, String)> {
    let (protocol, socket) = value.split_once(' ')?;
    let (address, port) = socket.split_once(':')?;
    let loopback = match address.len() {
        8 => address.ends_with("7F"),
        _ => {
            address == "00000000000000000000000001000000"
                || address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F")
        }
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    let known = ["tcp", "udp"].contains(&protocol);
    (known && !loopback).then(|| (port, protocol.to_owned()))
}
