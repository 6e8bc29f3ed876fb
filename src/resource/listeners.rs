//! Listeners of a host: the shell that prints them, in the kernel's notation, and the reading of its lines.

use crate::model::checked;
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

/// Shell function `listening WORD`: prints `WORD PROTOCOL ADDRESS:PORT` for each listener.
pub const LISTENING: &str = r#"listening() {
  sed -n "s/^ *[0-9]*: \([^ ]*\) [^ ]* 0A .*/$1 tcp \1/p" /proc/net/tcp /proc/net/tcp6 2>/dev/null
  sed -n "s/^ *[0-9]*: \([^ ]*\) [^ ]* 07 .*/$1 udp \1/p" /proc/net/udp /proc/net/udp6 2>/dev/null || :
}
"#;

impl Listener {
    /// Reads `tcp 0100007F:1F90`. Returns `None` for other protocols.
    pub fn parse(line: &str) -> Result<Option<Self>, String> {
        let Some((protocol, socket)) = line.split_once(' ') else { return Ok(None) };
        let (address, port) = socket.split_once(':').unwrap_or(("", socket));
        let port = u16::from_str_radix(port, 16).map_err(|_| format!("a port is `{}`", checked::said(port)))?;
        let listener = || Self { port, protocol: protocol.to_owned(), address: address_of(address) };
        Ok(["tcp", "udp"].contains(&protocol).then(listener))
    }

    /// Returns true if only the host itself can reach the listener.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.is_some_and(|address| address.is_loopback())
    }
}

/// Reads an address: words of 32 bits, each in the byte order of the machine, which is little endian on every processor
/// that Docker supports today.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_the_kernels_notation() {
        let on = |socket: &str| Listener::parse(&format!("tcp {socket}")).unwrap().unwrap();
        let addresses = [
            ("3500007F:1F90", "127.0.0.53", true),
            ("0100000A:1F90", "10.0.0.1", false),
            ("B80D0120000000000000000001000000:1F90", "2001:db8::1", false),
            ("0000000000000000FFFF00000100007F:1F90", "127.0.0.1", true),
            ("00000000000000000000000001000000:1F90", "::1", true),
            ("00000000000000000000000000000000:1F90", "::", false),
        ];
        for (socket, address, loopback) in addresses {
            let listener = on(socket);
            assert_eq!((listener.address, listener.port), (Some(address.parse().unwrap()), 8080));
            assert_eq!(listener.is_loopback(), loopback, "{socket}");
        }
        assert_eq!(on("1F90").address, None, "a recording of a former version");
    }
}
