//! Openings of a firewall: ports and the networks that may reach them, as the host keeps them, one per line. This
//! module does not know the syntax of the host's firewall.

use crate::manifest::environment::Network;
use crate::model::state::Facts;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Range of ports of one protocol that everybody or one network may reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// The network; `None` for everybody.
    pub from: Option<Network>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl Opening {
    /// Reads one line of the list that the host keeps.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let [protocol, ports, from] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        Some(Self {
            from: if from == "any" { None } else { Some(Network::parse(from).ok()?) },
            protocol: ["tcp", "udp", "sctp"].into_iter().find(|known| *known == protocol)?.to_owned(),
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    }

    /// Returns true if the opening includes a port of a protocol.
    #[must_use]
    pub fn covers(&self, port: u16, protocol: &str) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }

    /// Returns true if the opening includes the whole of another one.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.from == other.from && self.covers(other.first, &other.protocol) && self.last >= other.last
    }

    fn ports(&self) -> String {
        if self.first == self.last { self.first.to_string() } else { format!("{}-{}", self.first, self.last) }
    }
}

/// Formats the opening as the host keeps it: `tcp 8080 any`, `udp 6000-6010 203.0.113.0/24`.
impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.map_or_else(|| "any".to_owned(), |network| network.to_string());
        write!(f, "{} {} {from}", self.protocol, self.ports())
    }
}

/// Joins neighbouring ports into one opening each.
#[must_use]
pub fn joined(single: BTreeSet<Opening>) -> BTreeSet<Opening> {
    let mut all: Vec<Opening> = Vec::new();
    for next in single {
        match all.last_mut() {
            Some(held)
                if (&held.from, &held.protocol) == (&next.from, &next.protocol)
                    && u32::from(next.first) <= u32::from(held.last) + 1 =>
            {
                held.last = held.last.max(next.last);
            }
            _ => all.push(next),
        }
    }
    all.into_iter().collect()
}

/// Returns one line for each opening, as the host keeps them.
#[must_use]
pub fn lines(openings: &BTreeSet<Opening>) -> String {
    openings.iter().fold(String::new(), |text, opening| text + &format!("{opening}\n"))
}

/// Returns the openings as facts: `open` contains the ports that everybody may reach, `open to NETWORK` those that only
/// the network may reach.
#[must_use]
pub fn facts(openings: &BTreeSet<Opening>) -> Facts {
    let mut groups = BTreeMap::<String, Vec<String>>::new();
    for opening in openings {
        let name = opening.from.map_or_else(|| "open".to_owned(), |network| format!("open to {network}"));
        groups.entry(name).or_default().push(format!("{}/{}", opening.ports(), opening.protocol));
    }
    groups.into_iter().map(|(name, ports)| (name, ports.join(", "))).collect()
}

/// Returns the openings that the fact `open` contains.
#[must_use]
pub fn of_fact(open: Option<&String>) -> BTreeSet<Opening> {
    let words = open.into_iter().flat_map(|open| open.split(", ")).filter_map(|word| word.split_once('/'));
    words.filter_map(|(ports, protocol)| Opening::parse(&format!("{protocol} {ports} any"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back_and_neighbours_joined() {
        let text =
            ["tcp 80 any", "tcp 81 any", "tcp 83 any", "udp 81 any", "tcp 82 10.0.0.0/8", "udp 5-9 2001:db8::/32"];
        let all: BTreeSet<_> = text.iter().map(|line| Opening::parse(line).expect("a line")).collect();
        let joined = joined(all);
        assert_eq!(lines(&joined), "tcp 80-81 any\ntcp 83 any\nudp 81 any\ntcp 82 10.0.0.0/8\nudp 5-9 2001:db8::/32\n");
        assert_eq!(lines(&joined).lines().filter_map(Opening::parse).collect::<BTreeSet<_>>(), joined);
        assert_eq!(facts(&joined)["open"], "80-81/tcp, 83/tcp, 81/udp");
        assert_eq!(facts(&joined)["open to 10.0.0.0/8"], "82/tcp");
        let open = joined.iter().filter(|opening| opening.from.is_none()).cloned().collect();
        assert_eq!(of_fact(facts(&joined).get("open")), open);
        let held = |line: &str| joined.iter().any(|opening| opening.holds(&Opening::parse(line).expect("a line")));
        assert_eq!(
            ["tcp 81 any", "tcp 80-82 any", "udp 6-9 any", "udp 6-9 2001:db8::/32"].map(held),
            [true, false, false, true]
        );
    }

    #[test]
    fn other_lines_are_none() {
        for bad in ["", "tcp 80", "tcp 80 all", "icmp 80 any", "tcp 80 any more", "tcp x any", "tcp 70000 any"] {
            assert_eq!(Opening::parse(bad), None, "{bad}");
        }
    }
}
