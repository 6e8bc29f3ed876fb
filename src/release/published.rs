//! Ports that Compose files publish on the host, as far as they are written literally. `docker compose config` knows the
//! others, on the host.

use super::yaml::{Id, Kind, Tree};
use crate::manifest::network::Protocol;
use crate::manifest::tracker::Taken;
use std::net::IpAddr;

/// The largest range of ports that is compared.
const LARGEST: u16 = 1024;

/// Returns the ports that an item of `ports:` of a service publishes. Returns none if Docker chooses the port, if the
/// item contains a variable, or if it is wrong.
pub(super) fn of(tree: &Tree, item: Id, service: &str) -> Vec<Taken> {
    let part = |key: &str| tree.get(item, key).and_then(|(_, value)| tree.text(value));
    let found = match tree.node(item).kind {
        Kind::Mapping(_) => {
            part("published").and_then(|published| Some((part("host_ip"), published, protocol(part("protocol"))?)))
        }
        _ => tree.text(item).and_then(short),
    };
    let Some((address, range, protocol)) = found else { return Vec::new() };
    let bind = match address.map(|address| address.trim_matches(['[', ']']).parse::<IpAddr>()) {
        Some(Ok(address)) => Some(address),
        Some(Err(_)) => return Vec::new(),
        None => None,
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { return Vec::new() };
    let last = last.min(first.saturating_add(LARGEST));
    (first..=last).map(|port| Taken { port, protocol, bind, by: service.to_owned() }).collect()
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
            let ports = items.into_iter().flat_map(|item| of(&tree, item, "web"));
            let told = |one: Taken| {
                let bind = one.bind.map_or("*".to_owned(), |bind| bind.to_string());
                format!("{bind} {}/{}", one.port, one.protocol.name())
            };
            ports.map(told).collect::<Vec<_>>()
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
        assert!(all("[\"1-65535:1-65535\"]").len() <= usize::from(LARGEST) + 1);
    }
}
