//! The addresses of a name from the system's own resolver, which clients on this machine use. Needs no other resolver
//! and asks no server directly.

use super::{Found, Note, Trouble};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Resolves a name. Fails if an expected address is missing; warns of other addresses, because clients connect to them,
/// too.
pub(super) async fn addresses(domain: &str, expected: &BTreeSet<IpAddr>) -> Found {
    let found = tokio::net::lookup_host((domain, 0)).await;
    let found = found.map_err(|error| Trouble::passing(format!("{domain} does not resolve: {error}")))?;
    judge(expected, &found.map(|address| address.ip().to_canonical()).collect())
}

fn judge(expected: &BTreeSet<IpAddr>, found: &BTreeSet<IpAddr>) -> Found {
    let missing: BTreeSet<IpAddr> = expected.difference(found).copied().collect();
    let unexpected: BTreeSet<IpAddr> = found.difference(expected).copied().collect();
    let rest = if unexpected.is_empty() { String::new() } else { format!("; unexpected {}", records(&unexpected)) };
    if !missing.is_empty() {
        return Err(Trouble::lasting(format!("missing {}{rest}", records(&missing))));
    }
    let detail = format!("{}{rest}", records(&found.intersection(expected).copied().collect()));
    Ok(if unexpected.is_empty() { Note::passed(detail) } else { Note::warned(detail) })
}

fn records(addresses: &BTreeSet<IpAddr>) -> String {
    let record = |address: &IpAddr| format!("{} {address}", if address.is_ipv6() { "AAAA" } else { "A" });
    addresses.iter().map(record).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::verdict::Judgement;

    fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn missing_and_unexpected_addresses_are_named() {
        let both = ["203.0.113.7", "2001:db8::7"];
        assert_eq!(
            judge(&set(&both), &set(&["203.0.113.7", "203.0.113.9"])),
            Err(Trouble::lasting("missing AAAA 2001:db8::7; unexpected A 203.0.113.9"))
        );
        let more = judge(&set(&both[..1]), &set(&both)).unwrap();
        assert_eq!(more, Note::warned("A 203.0.113.7; unexpected AAAA 2001:db8::7"));
        let well = judge(&set(&both), &set(&both)).unwrap();
        assert_eq!((well.judgement, well.detail.as_str()), (Judgement::Passed, "A 203.0.113.7, AAAA 2001:db8::7"));
    }
}
