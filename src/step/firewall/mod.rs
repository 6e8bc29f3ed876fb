//! Firewall: of the host, only SSH, what the application publishes and what the manifest allows can be reached.
//! Never touches a table, rule or zone that we did not make, and never leaves a host that cannot be reached.

mod opening;

pub use opening::Opening;

use super::{Command, HostFacts, LONG, SHORT, Subject, engine, services};
use crate::event::Change;
use crate::failure::{Failure, Reason};
use crate::host::Input;
use crate::shell::quote;
use crate::state::Facts;
use std::collections::BTreeSet;
use std::time::Duration;

/// What all scripts of this room share.
const HOST: &str = include_str!("host.sh");
/// After how long the host brings the old rules back, unless somebody proved that it can be reached.
pub const WATCHDOG: Duration = Duration::from_secs(30);
/// How the script of [`proof`] ends where the watchdog was faster.
pub const UNDONE: i32 = 75;
/// Loaded, unchanged, and as every environment of the host wants it.
const IN_FORCE: &str = "in force";
/// Our own table, where neither ufw nor firewalld rules the host.
const NFTABLES: &str = "nftables";

/// What the host has of firewalls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `nftables`, `ufw` or `firewalld`: what is to be used.
    pub way: String,
    /// What was used last.
    pub used: String,
    /// Whether this environment has a part in the host's rules.
    pub on: bool,
    /// That part.
    pub own: BTreeSet<Opening>,
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
        "id={}\nif [ -n \"{wanted}\" ] || [ -e \"/var/lib/deployer/firewall/fragments/$id\" ]; then\n{HOST}\n{}fi",
        quote(&subject.environment.identity()),
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
            "way" => value.clone_into(&mut seen.way),
            "used" => value.clone_into(&mut seen.used),
            "on" => seen.on = true,
            "own" => seen.own.extend(Opening::parse(value)),
            "other" => seen.others.extend(Opening::parse(value)),
            "rules" => value.clone_into(&mut seen.rules),
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
    (!loopback).then(|| (port, protocol.to_owned()))
}

/// What this environment wants open: what the release that waits and those that began publish, and what is allowed. An
/// entry of `allow` speaks for a published port, so that not everybody need reach it.
fn wanted(subject: &Subject<'_>, host: &HostFacts) -> BTreeSet<Opening> {
    let Some(wish) = &subject.environment.firewall else { return BTreeSet::new() };
    let records = services::records(subject, host);
    let published = records.values().chain(host.files.begun().flat_map(|record| record.services.values()));
    let public = published
        .flat_map(|service| &service.ports)
        .filter(|port| !port.address.starts_with("127.") && port.address != "::1")
        .filter(|port| {
            !wish.allow.iter().any(|allow| (allow.port, allow.protocol.name()) == (port.port, &port.protocol))
        });
    let one = |port, protocol: &str, from| Opening { from, protocol: protocol.to_owned(), first: port, last: port };
    let mut single: BTreeSet<_> = public.map(|port| one(port.port, &port.protocol, None)).collect();
    for allow in &wish.allow {
        let from = allow.from.iter().map(|network| Some(*network)).chain(allow.from.is_empty().then_some(None));
        single.extend(from.map(|from| one(allow.port, allow.protocol.name(), from)));
    }
    opening::joined(single)
}

/// The facts as they are to be.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    if subject.environment.firewall.is_none() {
        return Facts::new();
    }
    let seen = &host.firewall;
    facts(&Seen {
        used: seen.way.clone(),
        own: wanted(subject, host),
        rules: IN_FORCE.to_owned(),
        ruled_ssh: seen.ssh.clone(),
        boot: true,
        ..Seen::default()
    })
}

/// The facts as they are.
#[must_use]
pub fn observed(host: &HostFacts) -> Facts {
    if host.firewall.on { facts(&host.firewall) } else { Facts::new() }
}

fn facts(seen: &Seen) -> Facts {
    let mut facts = opening::facts(&seen.own);
    facts.insert("through".to_owned(), seen.used.clone());
    facts.insert("rules".to_owned(), if seen.rules.is_empty() { "missing".to_owned() } else { seen.rules.clone() });
    if seen.used == NFTABLES {
        let ssh: Vec<String> = seen.ruled_ssh.iter().map(|port| format!("{port}/tcp")).collect();
        facts.insert("ssh".to_owned(), ssh.join(", "));
        facts.insert("boot".to_owned(), if seen.boot { "restored" } else { "not restored" }.to_owned());
    }
    facts
}

/// What is wanted, as far as a recorded observation can be compared with it: what only the host tells is as it was
/// seen, and what it had open as its release published it is still wanted.
pub fn as_recorded(seen: &Facts, wanted: &mut Facts) {
    let mut open = opening::of_fact(seen.get("open"));
    let more = opening::of_fact(wanted.get("open"));
    if !more.iter().all(|more| open.iter().any(|seen| seen.holds(more))) {
        open.extend(more);
    }
    wanted.extend(opening::facts(&opening::joined(open)));
    let told = ["through", "rules", "ssh", "boot"]
        .into_iter()
        .filter_map(|fact| Some((fact.to_owned(), seen.get(fact)?.clone())));
    wanted.extend(told);
}

/// Whether the manifest or the release asks for another part than the host has: nothing drifted then.
#[must_use]
pub fn asked(subject: &Subject<'_>, host: &HostFacts) -> bool {
    !host.firewall.on || host.firewall.own != wanted(subject, host)
}

/// Whether all that differs is what an older release had open.
#[must_use]
pub fn outlived(subject: &Subject<'_>, host: &HostFacts) -> bool {
    let seen = &host.firewall;
    let wanted = wanted(subject, host);
    let held = |opening: &Opening| seen.own.iter().any(|own| own.holds(opening));
    subject.environment.firewall.is_some() && seen.on && seen.own != wanted && wanted.iter().all(held)
}

/// Refuses a host where rules could not be loaded safely.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let seen = &host.firewall;
    if subject.environment.firewall.is_none() || seen.way != NFTABLES {
        return None;
    }
    if !host.access.systemd {
        let message = "The host has no running systemd, so nothing would undo firewall rules that cut us off";
        return Some(
            Failure::new(Reason::NoSystemd, message).hint("Remove configure.firewall, or give the host systemd"),
        );
    }
    if !seen.nft && !seen.apt {
        let failure = Failure::new(Reason::UnsupportedHost, "The host has no nft, and no apt to install it with");
        return Some(failure.hint("Install nftables there"));
    }
    let message = "The port that sshd listens on is not found on the host";
    seen.ssh.is_empty().then(|| Failure::new(Reason::FirewallFailed, message))
}

/// Puts this environment's part into the host's rules and loads them.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    if subject.environment.firewall.is_none() {
        return remove(subject);
    }
    let mut commands = Vec::new();
    if host.firewall.way == NFTABLES && !host.firewall.nft {
        commands.push(install(subject));
    }
    commands.push(change(subject, "load the firewall's rules", Some(&wanted(subject, host))));
    commands
}

/// Two environments of one host may come here at once, and `apt update` waits for nobody.
fn install(subject: &Subject<'_>) -> Command {
    let script = format!(
        "exec 8> /var/lib/deployer/firewall.lock\nflock 8\n{}apt update\n\
         apt install -y --no-remove --no-install-recommends nftables\n",
        engine::APT
    );
    Command {
        title: "install nftables from the distribution's packages".to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: LONG,
        reason: Reason::FirewallFailed,
    }
}

/// Takes this environment's part out of the host's rules, and all that is ours with the last one.
#[must_use]
pub fn remove(subject: &Subject<'_>) -> Vec<Command> {
    vec![change(subject, "take our part out of the firewall's rules", None)]
}

fn change(subject: &Subject<'_>, title: &str, wanted: Option<&BTreeSet<Opening>>) -> Command {
    let leaves = if wanted.is_some() { "" } else { "yes" };
    let wanted = wanted.map(opening::lines).unwrap_or_default();
    let script = format!("leaves={leaves}\nwanted={}\n{}", quote(&wanted), include_str!("change.sh"));
    command(subject, title, &script)
}

/// Keeps the rules that were loaded, once somebody came in over a connection made after that.
#[must_use]
pub fn proof(subject: &Subject<'_>) -> Command {
    command(subject, "keep the firewall's rules", include_str!("proof.sh"))
}

fn command(subject: &Subject<'_>, title: &str, script: &str) -> Command {
    Command {
        title: title.to_owned(),
        script: format!("{}id={}\n{HOST}{script}", subject.preamble(), quote(&subject.environment.identity())),
        input: Input::Empty,
        limit: SHORT * 3,
        reason: Reason::FirewallFailed,
    }
}

/// Adds to the changes of a step what its reader should know: what it closes, and what it cannot close.
pub fn remark(subject: &Subject<'_>, host: &HostFacts, changes: &mut [Change]) {
    let closed = closed(subject, host);
    let about = ["rules", "open"].into_iter().find(|fact| changes.iter().any(|change| change.fact == *fact));
    for change in changes {
        if change.fact == "through" && change.to.as_deref().is_some_and(|to| to != NFTABLES) {
            change.note = change.to.as_ref().map(|way| format!("ports that Docker publishes pass by {way}"));
        } else if Some(change.fact.as_str()) == about && !closed.is_empty() {
            change.note = Some(format!("closes {}", closed.join(", ")));
        }
    }
}

/// Ports that something listens on and that will not be reached any more. Those of UDP clients are left out.
fn closed(subject: &Subject<'_>, host: &HostFacts) -> Vec<String> {
    let seen = &host.firewall;
    if seen.way != NFTABLES || subject.environment.firewall.is_none() {
        return Vec::new();
    }
    let wanted = wanted(subject, host);
    let ours: BTreeSet<(u16, &str)> =
        host.services.containers.iter().flat_map(super::container::Container::ports).collect();
    let open = |port: u16, protocol: &str| {
        wanted.iter().chain(&seen.others).any(|opening| opening.covers(port, protocol))
            || ours.contains(&(port, protocol))
            || (protocol == "tcp" && seen.ssh.contains(&port))
            || (protocol == "udp" && (matches!(port, 68 | 546) || port >= 32768))
    };
    let closed = seen.listening.iter().filter(|(port, protocol)| !open(*port, protocol));
    closed.map(|(port, protocol)| format!("{port}/{protocol}")).collect()
}
