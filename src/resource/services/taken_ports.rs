//! Ports that something else on the host holds, so that no service can publish them.

use super::records;
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::resource::compose::container::Container;
use crate::resource::contract::claims;
use crate::resource::release_identity::project;
use crate::resource::{HostFacts, Subject, files};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Port of the host with a listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The address, which may be that of all addresses; `None` in recordings of former versions.
    pub address: Option<IpAddr>,
}

/// Shell function that prints `WORD PROTOCOL ADDRESS:PORT` for each listener, in the kernel's notation.
pub(super) const LISTENING: &str = r#"listening() {
  sed -n "s/^ *[0-9]*: \([^ ]*\) [^ ]* 0A .*/$1 tcp \1/p" /proc/net/tcp /proc/net/tcp6 2>/dev/null
  sed -n "s/^ *[0-9]*: \([^ ]*\) [^ ]* 07 .*/$1 udp \1/p" /proc/net/udp /proc/net/udp6 2>/dev/null || :
}
"#;

/// Reads `tcp 0100007F:1F90`, the kernel's notation. Returns `None` for other protocols.
pub(super) fn listener(line: &str) -> Result<Option<Listener>, String> {
    let Some((protocol, socket)) = line.split_once(' ') else { return Ok(None) };
    let (address, port) = socket.split_once(':').unwrap_or(("", socket));
    let port = u16::from_str_radix(port, 16).map_err(|_| format!("a port is `{}`", checked::said(port)))?;
    let listener = || Listener { port, protocol: protocol.to_owned(), address: address_of(address) };
    Ok(["tcp", "udp"].contains(&protocol).then(listener))
}

/// Reads an address in the kernel's notation: words of 32 bits, each in the byte order of the machine, which is little
/// endian on every processor that Docker supports today.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_le_bytes);
    match hex.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical())
        }
        _ => None,
    }
}

/// Returns true if a port that is published on `wanted` (empty for all addresses) meets a listener on `address`.
fn meets(wanted: &str, address: Option<IpAddr>) -> bool {
    let wanted = wanted.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let (Some(wanted), Some(address)) = (wanted, address) else { return true };
    // A listener on all IPv6 addresses usually listens on all IPv4 addresses too.
    let same_family = wanted.is_ipv4() == address.is_ipv4() || address == IpAddr::from([0; 16]);
    same_family && (wanted.is_unspecified() || address.is_unspecified() || wanted == address)
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
        let message =
            format!("Port {}/{} of service {service} is used by something else on the host", port.port, port.protocol);
        Failure::new(Reason::PortTaken, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_on_its_address_only() {
        let on = |socket: &str| listener(&format!("tcp {socket}")).unwrap().unwrap().address;
        assert_eq!(on("3500007F:1F90"), Some("127.0.0.53".parse().unwrap()));
        assert_eq!(on("B80D0120000000000000000001000000:1F90"), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(on("0000000000000000FFFF00000100007F:1F90"), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(on("1F90"), None, "a recording of a former version");
        let (one, all, all_v6) = (on("3500007F:1"), on("00000000:1"), on("00000000000000000000000000000000:1"));
        let wanted = ["", "0.0.0.0", "127.0.0.53", "10.0.0.1", "[::]", "2001:db8::1"];
        assert_eq!(wanted.map(|wanted| meets(wanted, one)), [true, true, true, false, false, false]);
        assert_eq!(wanted.map(|wanted| meets(wanted, all)), [true, true, true, true, false, false]);
        assert_eq!(wanted.map(|wanted| meets(wanted, all_v6)), [true; 6]);
        assert_eq!(wanted.map(|wanted| meets(wanted, None)), [true; 6]);
    }
}
