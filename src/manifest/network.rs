//! Addresses and networks of firewall rules. Resolves no name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network or a single address. No bit is set beyond the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Parses `ADDRESS` or `ADDRESS/PREFIX`.
    ///
    /// # Errors
    /// The form to write instead, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "Write an address or a network: 203.0.113.7, 203.0.113.0/24, 2001:db8::/32";
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| FORM.to_owned())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => whole,
            Some(text) => text.parse().ok().filter(|prefix| plain(text) && *prefix <= whole).ok_or_else(|| {
                format!("The prefix of an {} network goes from 0 to {whole}", if whole == 32 { "IPv4" } else { "IPv6" })
            })?,
        };
        let network = Self { address: masked(address, prefix), prefix };
        if network.address == address { Ok(network) } else { Err(format!("Did you mean {network}?")) }
    }

    /// Returns the network with its prefix, also for a single address.
    #[must_use]
    pub fn with_prefix(&self) -> String {
        format!("{}/{}", self.address, self.prefix)
    }
}

/// Clears the bits of the address beyond the prefix.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == whole { write!(f, "{}", self.address) } else { write!(f, "{}/{}", self.address, self.prefix) }
    }
}

/// A transport protocol with ports.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Returns the name that manifests and firewalls use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest::network::Network;

    #[test]
    fn reads_networks_in_one_form() {
        for (text, form) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::1", "::1"),
        ] {
            assert_eq!(Network::parse(text).map(|network| network.to_string()), Ok(form.to_owned()), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for bad in [
            "",
            "a",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.1/8/8",
            "10.0.0",
            "host/24",
            "10.0.0.0/ 8",
        ] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Network::parse("203.0.113.5/24"), Err("Did you mean 203.0.113.0/24?".to_owned()));
        assert_eq!(Network::parse("2001:db8::1/32"), Err("Did you mean 2001:db8::/32?".to_owned()));
    }
}
