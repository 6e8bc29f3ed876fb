//! Rules of the `configure.firewall` section. Contacts no host.

use super::scalars::port;
use super::shown;
use crate::manifest::environment::{Allow, FirewallWish, Network, Protocol};
use crate::manifest::faults::Report;
use crate::manifest::spec::{AllowSpec, RulesSpec, Switched};
use crate::manifest::written::{Given, Written};
use std::collections::BTreeSet;

/// Reads the section. The firewall is off if the section is absent.
pub fn read(given: &Given<Switched<RulesSpec>>, report: &mut Report) -> Option<FirewallWish> {
    let rules = match given.value()? {
        Switched::Switch(false) => return None,
        Switched::Switch(true) => return Some(FirewallWish::default()),
        Switched::Settings(rules) => rules,
    };
    let mut seen = BTreeSet::new();
    let mut allow = Vec::new();
    for written in rules.allow.value().into_iter().flatten() {
        let Some(one) = entry(written, report) else { continue };
        if !seen.insert((one.port, one.protocol)) {
            let message = format!("Port {} is allowed twice", one.port);
            report.fault(written.spot, message, "Write one entry with everything in `from`");
        }
        allow.push(one);
    }
    Some(FirewallWish { allow })
}

fn entry(written: &Written<AllowSpec>, report: &mut Report) -> Option<Allow> {
    let spec = &written.value;
    let Some(number) = &spec.port.0 else {
        report.fault(written.spot, "An entry of `allow` has no port", "Add `port: PORT`");
        return None;
    };
    if let Some(from) = spec.from.0.as_ref().filter(|from| from.value.is_empty()) {
        report.fault(
            from.spot,
            "`from` is empty, so nobody could reach the port",
            "Leave out `from` to allow everybody",
        );
    }
    Some(Allow {
        port: port(number, "port", report),
        protocol: spec.protocol.value().copied().unwrap_or(Protocol::Tcp),
        from: spec.from.value().into_iter().flatten().filter_map(|from| network(from, report)).collect(),
    })
}

fn network(written: &Written<String>, report: &mut Report) -> Option<Network> {
    match Network::parse(&written.value) {
        Ok(network) => Some(network),
        Err(hint) => {
            let message = format!("`{}` is not an address or a network", shown(&written.value));
            report.fault(written.spot, message, hint);
            None
        }
    }
}
