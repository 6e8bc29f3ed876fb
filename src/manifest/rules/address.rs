//! Host addresses: DNS names, IPv4, IPv6. Refuses every address that ssh could take for an option. Resolves no name.

use super::scalars::line;
use super::shown;
use crate::manifest::faults::Report;
use crate::manifest::written::Written;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Checks the address of a host.
pub fn host(written: &Written<String>, report: &mut Report) {
    if !line(written, "address", report) {
        return;
    }
    if let Err(hint) = plausible(&written.value) {
        report.fault(written.spot, format!("`{}` is not a host's address", shown(&written.value)), hint);
    }
}

/// Reads a public address.
pub fn public(written: &Written<String>, report: &mut Report) -> Option<IpAddr> {
    let parsed = written.value.parse().ok();
    if parsed.is_none() {
        let message = format!("`{}` is not an IP address", shown(&written.value));
        report.fault(written.spot, message, "Write an IPv4 or IPv6 address, without a prefix length");
    }
    parsed
}

fn plausible(address: &str) -> Result<(), &'static str> {
    if address.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if address.contains("://") {
        return Err("Leave out the scheme: only the DNS name or IP address belongs here");
    }
    if address.contains('@') {
        return Err("Put the login name into ssh.user");
    }
    if address.starts_with('[') {
        return Err("Write an IPv6 address without brackets, a port into ssh.port");
    }
    if let Some((name, port)) = address.rsplit_once(':')
        && !name.contains(':')
        && port.parse::<u16>().is_ok()
    {
        return Err("Put the port into ssh.port");
    }
    if address.contains(':') || address.contains('%') {
        return if address.split('%').next().is_some_and(|bare| bare.parse::<Ipv6Addr>().is_ok()) {
            Err("An IPv6 address with a zone works on one machine only; use another address")
        } else {
            Err("An IPv6 address looks like 2001:db8::7")
        };
    }
    if !address.is_ascii() {
        return Err("Write an international name in its ASCII form (xn--…)");
    }
    dns(address)
}

/// Checks an RFC 1123 name. Underscores are accepted too, because real hosts have them.
fn dns(name: &str) -> Result<(), &'static str> {
    const FORM: &str = "Write a DNS name, an IPv4 or an IPv6 address";
    let labels: Vec<&str> = name.strip_suffix('.').unwrap_or(name).split('.').collect();
    let fits = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let numeric = labels.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if name.len() > 253 || !labels.iter().all(fits) {
        Err(FORM)
    } else if numeric && name.parse::<Ipv4Addr>().is_err() {
        Err("An IPv4 address has four numbers from 0 to 255")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest::rules::address::plausible;

    #[test]
    fn accepts_names_and_addresses() {
        for good in ["tracker.example.com", "host", "host.", "a_b.lxd", "10.0.0.7", "2001:db8::7", "::1", "1host.de"] {
            assert_eq!(plausible(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for bad in [
            "",
            "-oProxyCommand=x",
            "ssh://h",
            "root@h",
            "h:22",
            "[::1]:22",
            "10.0.0.300",
            "10.0.0",
            "a b",
            "h;id",
            "$(id)",
            "a..b",
            "fe80::1%eth0",
            "bücher.de",
            "a/b",
            "h\n",
            "1:2:3",
            "7",
        ] {
            assert!(plausible(bad).is_err(), "{bad}");
        }
    }
}
