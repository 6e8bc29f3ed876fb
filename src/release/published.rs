//! Ports that Compose files publish on the host, as far as they are written literally. `docker compose config` knows
//! the others, on the host.

use super::yaml::{Id, Kind, Tree};
use crate::manifest::network::{self, Protocol};
use crate::model::failure::Location;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Ports that one line of a Compose file publishes.
#[derive(Clone, Debug)]
pub struct Published {
    /// The service.
    pub service: String,
    /// The ports of the host.
    pub ports: RangeInclusive<u16>,
    /// Their protocol.
    pub protocol: Protocol,
    /// The address of the host; `None` for all.
    pub bind: Option<IpAddr>,
    /// The line.
    pub at: Location,
}

impl Published {
    /// Returns the first port that both publish.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Option<u16> {
        let first = *self.ports.start().max(other.ports.start());
        let last = *self.ports.end().min(other.ports.end());
        let same = self.protocol == other.protocol && network::overlap(self.bind, other.bind);
        (same && first <= last).then_some(first)
    }
}

/// Returns what an item of `ports:` of a service publishes. Returns none if Docker chooses the port, if the item
/// contains a variable, or if it is wrong.
pub(super) fn of(tree: &Tree, item: Id, service: &str, at: Location) -> Option<Published> {
    let part = |key: &str| tree.get(item, key).and_then(|(_, value)| tree.text(value));
    let (address, range, protocol) = match tree.node(item).kind {
        Kind::Mapping(_) => (part("host_ip"), part("published")?, protocol(part("protocol"))?),
        _ => tree.text(item).and_then(short)?,
    };
    let bind = address.map(|address| address.trim_matches(['[', ']']).parse::<IpAddr>()).transpose().ok()?;
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let ports = first.parse::<u16>().ok().filter(|first| *first != 0)?..=last.parse::<u16>().ok()?;
    Some(Published { service: service.to_owned(), ports, protocol, bind, at })
}

/// Reads `[ADDRESS:]PORT:PORT_OF_CONTAINER[/PROTOCOL]`. Returns the address, the port or range, and the protocol.
fn short(text: &str) -> Option<(Option<&str>, &str, Protocol)> {
    let (ports, name) = text.split_once('/').map_or((text, None), |(ports, name)| (ports, Some(name)));
    let (before, _) = ports.rsplit_once(':')?;
    let (address, range) = before.rsplit_once(':').map_or((None, before), |(address, range)| (Some(address), range));
    Some((address, range, protocol(name)?))
}

fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "tcp") => Some(Protocol::Tcp),
        Some("udp") => Some(Protocol::Udp),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    #[test]
    fn ports_are_read_in_every_form_that_names_them() {
        let all = |text: &str| {
            let tree = yaml::parse(text, &std::rc::Rc::default()).unwrap();
            let items = tree.items(tree.documents[0]);
            let at = || Location { file: String::new(), line: 1, column: 1, span: None, source: None };
            let told = |one: Published| {
                let bind = one.bind.map_or("*".to_owned(), |bind| bind.to_string());
                let ports = one.ports.map(move |port| format!("{bind} {port}/{}", one.protocol.name()));
                ports.collect::<Vec<_>>()
            };
            items.into_iter().filter_map(|item| of(&tree, item, "web", at())).flat_map(told).collect::<Vec<_>>()
        };
        for (text, expected) in [
            ("[\"8080:80\"]", vec!["* 8080/tcp"]),
            ("[\"127.0.0.1:53:53/udp\"]", vec!["127.0.0.1 53/udp"]),
            ("[\"[::1]:53:53/UDP\"]", vec!["::1 53/udp"]),
            ("[\"8000-8001:80-81\"]", vec!["* 8000/tcp", "* 8001/tcp"]),
            ("[{ target: 80, published: 8080 }]", vec!["* 8080/tcp"]),
            ("[{ target: 80, published: \"8080\", host_ip: 10.0.0.1, protocol: udp }]", vec!["10.0.0.1 8080/udp"]),
            ("[80, \"80\", { target: 80 }, \"${PORT}:80\", \"8080:80/sctp\", \"x:80\", null, [8]]", vec![]),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
        assert_eq!(all("[\"1-65535:1-65535\"]").len(), 65535);
    }
}
