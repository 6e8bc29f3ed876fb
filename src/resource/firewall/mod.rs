//! Firewall: of the host's ports, only SSH, the application's published ports and the manifest's allowed ports are
//! reachable. Tables, rules and zones that we did not make are not touched. Rules that make the host unreachable are
//! undone.

mod opening;
mod probe;
mod remark;

pub use opening::Opening;
pub use probe::{Seen, parse, probe};
pub use remark::remark;

use super::contract::exclusive;
use super::services::records;
use super::{Command, HostFacts, LONG, SHORT, Subject};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::Facts;
use std::collections::BTreeSet;
use std::time::Duration;

/// Shell that all scripts of this resource share.
const HOST: &str = include_str!("host.sh");
/// Time after which the host restores the old rules, unless a new connection proved that the host is reachable.
pub const WATCHDOG: Duration = Duration::from_secs(30);
/// Exit code of the script of [`proof`] if the watchdog restored the rules first.
pub const UNDONE: i32 = 75;
/// Value of the fact for rules that are loaded, unchanged, and as every environment of the host wants them.
const IN_FORCE: &str = "in force";
/// Name of the method with our own table, for a host that neither ufw nor firewalld manages.
const NFTABLES: &str = "nftables";

/// Returns the openings that this environment wants: the ports that the staged release and the releases whose switch
/// began publish, and the allowed ports. An entry of `allow` replaces the opening of a published port, so that access
/// can be restricted.
fn wanted(subject: &Subject<'_>, host: &HostFacts) -> BTreeSet<Opening> {
    let Some(wish) = &subject.environment.firewall else { return BTreeSet::new() };
    let records = records::of(subject, host);
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

/// Returns the desired facts.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    if subject.environment.firewall.is_none() {
        return Facts::new();
    }
    let seen = &host.firewall;
    facts(&Seen {
        used: seen.way.clone(),
        own: Some(wanted(subject, host)),
        rules: IN_FORCE.to_owned(),
        ruled_ssh: seen.ssh.clone(),
        boot: true,
        ..Seen::default()
    })
}

/// Returns the observed facts.
#[must_use]
pub fn observed(host: &HostFacts) -> Facts {
    if host.firewall.own.is_some() { facts(&host.firewall) } else { Facts::new() }
}

fn facts(seen: &Seen) -> Facts {
    let mut facts = seen.own.as_ref().map(opening::facts).unwrap_or_default();
    if !seen.used.is_empty() {
        facts.insert("through".to_owned(), seen.used.clone());
    }
    facts.insert("rules".to_owned(), if seen.rules.is_empty() { "missing".to_owned() } else { seen.rules.clone() });
    if seen.used == NFTABLES {
        let ssh: Vec<String> = seen.ruled_ssh.iter().map(|port| format!("{port}/tcp")).collect();
        facts.insert("ssh".to_owned(), ssh.join(", "));
        facts.insert("boot".to_owned(), if seen.boot { "restored" } else { "not restored" }.to_owned());
    }
    facts
}

/// Adjusts the desired facts for a comparison with a recorded observation: facts that only the host knows are taken
/// from the observation, and ports that the host had open because its release published them remain wanted.
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

/// Returns true if the manifest or the release asks for other openings than the host has. In that case, nothing
/// drifted.
#[must_use]
pub fn asked(subject: &Subject<'_>, host: &HostFacts) -> bool {
    host.firewall.own != Some(wanted(subject, host))
}

/// Returns true if the only difference is openings of an older release.
#[must_use]
pub fn outlived(subject: &Subject<'_>, host: &HostFacts) -> bool {
    let Some(own) = host.firewall.own.as_ref().filter(|_| subject.environment.firewall.is_some()) else { return false };
    let wanted = wanted(subject, host);
    *own != wanted && wanted.iter().all(|opening| own.iter().any(|own| own.holds(opening)))
}

/// Refuses a host on which rules cannot be loaded safely.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let seen = &host.firewall;
    if subject.environment.firewall.is_none() || seen.way != NFTABLES {
        return None;
    }
    if !host.access.systemd {
        let message = "The host runs no systemd, so firewall rules that cut off the connection would not be undone";
        return Some(
            Failure::new(Reason::NoSystemd, message).hint("Remove configure.firewall, or give the host systemd"),
        );
    }
    if !seen.nft && !seen.apt {
        let failure = Failure::new(Reason::UnsupportedHost, "The host has no nft, and no apt to install it with");
        return Some(failure.hint("Install nftables on the host"));
    }
    let message = "The port that sshd listens on is not found on the host";
    seen.ssh.is_empty().then(|| Failure::new(Reason::FirewallFailed, message))
}

/// Adds this environment's openings to the host's rules and loads the rules.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    if subject.environment.firewall.is_none() {
        return remove(subject);
    }
    let mut commands = Vec::new();
    commands.extend(package(subject, host).map(|package| install(subject, package)));
    commands.push(change(subject, "load the firewall's rules", Some(&wanted(subject, host))));
    commands
}

/// Returns the package that the firewall needs. The engine's installation includes this package, because each run of
/// apt takes time.
#[must_use]
pub fn package(subject: &Subject<'_>, host: &HostFacts) -> Option<&'static str> {
    let (wanted, seen) = (subject.environment.firewall.is_some(), &host.firewall);
    (wanted && seen.apt && seen.way == NFTABLES && !seen.nft).then_some("nftables")
}

fn install(subject: &Subject<'_>, package: &str) -> Command {
    let apt = exclusive::apt();
    let script = format!("{apt}apt update\napt install -y --no-remove --no-install-recommends {package}\n");
    Command {
        title: format!("install {package} from the distribution's packages"),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: LONG,
        reason: Reason::FirewallFailed,
    }
}

/// Removes this environment's openings from the host's rules. With the last environment, everything of ours is removed.
#[must_use]
pub fn remove(subject: &Subject<'_>) -> Vec<Command> {
    vec![change(subject, "remove this environment from the firewall's rules", None)]
}

fn change(subject: &Subject<'_>, title: &str, wanted: Option<&BTreeSet<Opening>>) -> Command {
    let leaves = if wanted.is_some() { "" } else { "yes" };
    let wanted = wanted.map(opening::lines).unwrap_or_default();
    let script = format!("leaves={leaves}\nwanted={}\n{}", quote(&wanted), include_str!("change.sh"));
    command(subject, title, &script)
}

/// Keeps the loaded rules. The command runs over a connection that was made after the rules were loaded.
#[must_use]
pub fn proof(subject: &Subject<'_>) -> Command {
    command(subject, "confirm the firewall's rules", include_str!("proof.sh"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_observation_tells_what_only_the_host_knows() {
        let facts = |pairs: &[(&str, &str)]| -> Facts {
            pairs.iter().map(|(fact, value)| ((*fact).to_owned(), (*value).to_owned())).collect()
        };
        let seen =
            facts(&[("open", "8080/tcp, 9100/tcp"), ("rules", "in force"), ("ssh", "22/tcp"), ("through", "ufw")]);
        let mut same = facts(&[("open", "9100/tcp"), ("rules", "in force")]);
        as_recorded(&seen, &mut same);
        assert_eq!(same, seen);
        let mut more = facts(&[("open", "9101/tcp"), ("open to 10.0.0.0/8", "5/udp")]);
        as_recorded(&seen, &mut more);
        assert_eq!((more["open"].as_str(), more["open to 10.0.0.0/8"].as_str()), ("8080/tcp, 9100-9101/tcp", "5/udp"));
    }
}
