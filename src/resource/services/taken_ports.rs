//! Ports that something else on the host holds, so that no service can publish them.

use super::networks_and_volumes::Published;
use super::records;
use crate::manifest::network;
use crate::model::failure::{Failure, Reason};
use crate::resource::compose::container::Container;
use crate::resource::contract::claims;
use crate::resource::listeners::Listener;
use crate::resource::release_identity::project;
use crate::resource::{HostFacts, Subject, files};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Returns true if a port that is published on `wanted` (empty for all addresses) meets a listener on `address`.
fn meets(wanted: &str, address: Option<IpAddr>) -> bool {
    let wanted = wanted.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    // A listener on all IPv6 addresses usually listens on all IPv4 addresses too.
    network::overlap(wanted, address) || address == Some(IpAddr::from([0; 16]))
}

/// Refuses a port of a service that something else on the host holds.
pub(super) fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let former = claims::former_containers(subject.environment, host, project(subject, host));
    let ours: BTreeSet<(u16, &str)> =
        super::containers(subject, host).chain(former).flat_map(Container::ports).collect();
    // An outdated staged release is replaced before any service starts, so its ports do not matter.
    let outdated = host.files.staged.is_some() && files::staged_as_wanted(subject, host).is_none();
    let records = if outdated { BTreeMap::new() } else { records::of(subject, host) };
    let taken = records.iter().find_map(|(service, record)| {
        let port = record.ports.iter().find(|port| {
            let listens = |one: &Listener| {
                (one.port, &one.protocol) == (port.port, &port.protocol) && meets(&port.address, one.address)
            };
            host.services.listening.iter().any(listens) && !ours.contains(&(port.port, port.protocol.as_str()))
        })?;
        Some((service, port))
    });
    taken.map(|(service, port)| {
        let holds = |one: &&Published| {
            (one.port, &one.protocol) == (port.port, &port.protocol) && meets(&port.address, one.address)
        };
        let holder = host.services.engine.published().iter().find(holds);
        let holder =
            holder.map_or("something else on the host".to_owned(), |one| format!("container {}", one.container));
        let message = format!("Port {}/{} of service {service} is used by {holder}", port.port, port.protocol);
        Failure::new(Reason::PortTaken, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_on_its_address_only() {
        let [one, all, all_v6] = ["127.0.0.53", "0.0.0.0", "::"].map(|address| address.parse().ok());
        let wanted = ["", "0.0.0.0", "127.0.0.53", "10.0.0.1", "[::]", "2001:db8::1"];
        assert_eq!(wanted.map(|wanted| meets(wanted, one)), [true, true, true, false, false, false]);
        assert_eq!(wanted.map(|wanted| meets(wanted, all)), [true, true, true, true, false, false]);
        assert_eq!(wanted.map(|wanted| meets(wanted, all_v6)), [true; 6]);
        assert_eq!(wanted.map(|wanted| meets(wanted, None)), [true; 6]);
    }
}
