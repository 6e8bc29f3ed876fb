//! Addresses and networks of firewall rules. Resolves no name.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// A network or a single address. No bit is set beyond the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpNet);

impl Network {
    /// Parses `ADDRESS` or `ADDRESS/PREFIX`.
    ///
    /// # Errors
    /// The form to write instead, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "Write an address or a network: 203.0.113.7, 203.0.113.0/24, 2001:db8::/32";
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let whole = IpNet::from(address.parse::<IpAddr>().map_err(|_| FORM.to_owned())?);
        let net: IpNet = prefix.map_or(Ok(whole), |_| text.parse()).map_err(|_| {
            let (family, bits) = if whole.max_prefix_len() == 32 { ("IPv4", 32) } else { ("IPv6", 128) };
            format!("The prefix of an {family} network goes from 0 to {bits}")
        })?;
        let network = Self(net.trunc());
        if network.0 == net { Ok(network) } else { Err(format!("Did you mean {network}?")) }
    }

    /// Returns the network with its prefix, also for a single address.
    #[must_use]
    pub fn with_prefix(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
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

/// Returns true if two listeners on these addresses of a host cannot use the same port. `None` is every address, and an
/// unspecified address (`0.0.0.0`) is every address of its family.
#[must_use]
pub fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified() || one == other)
}

#[cfg(test)]
mod tests {
    use crate::manifest::network::{Network, overlap};

    #[test]
    fn listeners_of_one_family_share_an_address() {
        let at = |text: &str| (text != "*").then(|| text.parse().unwrap());
        for (one, other, expected) in [
            ("*", "::1", true),
            ("0.0.0.0", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0", "::1", false),
            ("::", "2001:db8::1", true),
        ] {
            assert_eq!(
                (overlap(at(one), at(other)), overlap(at(other), at(one))),
                (expected, expected),
                "{one} {other}"
            );
        }
    }

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
