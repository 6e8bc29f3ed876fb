//! Two peers of one torrent, and the checks that they see each other. Does not contact a tracker.

use super::{InfoHash, Note, Trouble};
use std::net::{IpAddr, SocketAddr};
use uuid::Uuid;

/// The state of a peer that an announce reports. Has only the states that a round trip needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A seeder that joins.
    Seeds,
    /// A leecher that joins without any data.
    Leeches,
    /// A peer that leaves.
    Stops,
}

/// A `BitTorrent` peer of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Peer ID: 20 bytes.
    pub id: [u8; 20],
    /// Announced port. Nothing listens there.
    pub port: u16,
}

/// Two peers of one torrent: the first one seeds, and the second one must find the first one.
pub(super) struct Pair {
    pub(super) info_hash: InfoHash,
    pub(super) first: Peer,
    pub(super) second: Peer,
}

impl Pair {
    /// Returns two peers with random IDs, in the given torrent or in a random one.
    pub(super) fn random(info_hash: Option<InfoHash>) -> Self {
        let bytes = || -> [u8; 20] {
            let mut bytes = [0; 20];
            bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
            bytes[16..].copy_from_slice(&Uuid::new_v4().as_bytes()[..4]);
            bytes
        };
        let peer = |half: u16| {
            let mut id = *b"-DY0100-000000000000";
            let digits = bytes().map(|byte| b"0123456789abcdefghijklmnopqrstuv"[usize::from(byte % 32)]);
            id[8..].copy_from_slice(&digits[..12]);
            // The ports of the two peers are in different ranges.
            let port = u16::from_be_bytes([digits[12], bytes()[0]]) % 20_000;
            Peer { id, port: 20_000 * (half + 1) + port % 10_000 }
        };
        Self { info_hash: info_hash.unwrap_or_else(bytes), first: peer(0), second: peer(1) }
    }

    /// Returns the address that the tracker reports for the first peer.
    ///
    /// # Errors
    /// If the first peer is not in the list. The message names the expected port.
    pub(super) fn seen(&self, peers: &[SocketAddr]) -> Result<IpAddr, Trouble> {
        if let Some(peer) = peers.iter().find(|peer| peer.port() == self.first.port) {
            return Ok(peer.ip().to_canonical());
        }
        let others = match peers {
            [] => "none".to_owned(),
            peers => peers.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        Err(Trouble::lasting(format!(
            "the second peer must receive the first peer, on port {}, but receives {others}",
            self.first.port
        )))
    }
}

/// The seeders and leechers of a torrent in a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Number of peers with the complete torrent.
    pub seeders: u64,
    /// Number of the other peers.
    pub leechers: u64,
}

/// Checks that a scrape counts at least the two peers.
pub(super) fn counted(count: Count) -> Result<(), Trouble> {
    if count.seeders > 0 && count.leechers > 0 {
        return Ok(());
    }
    Err(Trouble::lasting(format!(
        "the scrape must count 1 seeder and 1 leecher, but counts {} and {}",
        count.seeders, count.leechers
    )))
}

/// Returns the result after both peers left. If they could not leave, the check passes with a warning.
pub(super) fn parted<T>(note: Note, left: Result<T, Trouble>) -> Note {
    let Err(trouble) = left else { return note };
    Note::warned(format!("{}; the peers of this test remain for a while: {}", note.detail, trouble.detail))
}

/// Returns the result of a successful round trip. `own` is this machine's source address, if the tracker may have seen
/// it. If the tracker saw another address that is not public, that address is a gateway's, and all peers of this
/// address family have it.
pub(super) fn told(seen: IpAddr, over: IpAddr, own: Option<IpAddr>, count: Count) -> Note {
    let family = if over.to_canonical().is_ipv6() { "IPv6" } else { "IPv4" };
    let plural = |number: u64, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let counts = format!("{}, {}", plural(count.seeders, "seeder"), plural(count.leechers, "leecher"));
    match own.map(|own| own.to_canonical()) {
        Some(own) if own != seen && inner(seen) => Note::warned(format!(
            "seen over {family} as {seen}, a gateway's address, not as {own}: peers cannot reach each other, {counts}"
        )),
        _ => Note::passed(format!("seen over {family} as {seen}, {counts}")),
    }
}

/// Returns true for addresses that are not routed on the internet (RFC 1918, 4193, 3927, 6598; loopback).
fn inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// Returns the source address that this machine uses for a destination; `None` if there is no route. Sends nothing.
pub(super) async fn source(address: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if address.is_ipv6() { [0_u16; 8].into() } else { [0_u8; 4].into() };
    let socket = tokio::net::UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(address).await.ok()?;
    socket.local_addr().ok().map(|own| own.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_peers_differ() {
        for _ in 0..200 {
            let pair = Pair::random(None);
            assert_ne!(pair.first.id, pair.second.id);
            assert!((20_000..30_000).contains(&pair.first.port), "{}", pair.first.port);
            assert!((40_000..50_000).contains(&pair.second.port), "{}", pair.second.port);
            assert_ne!(pair.info_hash, Pair::random(None).info_hash);
        }
    }

    #[test]
    fn a_gateways_address_is_warned_of_but_a_public_one_is_not() {
        let count = Count { seeders: 1, leechers: 2 };
        let told = |seen: &str, own: &str| told(seen.parse().unwrap(), seen.parse().unwrap(), own.parse().ok(), count);
        assert_eq!(
            told("2001:db8::2", "2001:db8::2"),
            Note::passed("seen over IPv6 as 2001:db8::2, 1 seeder, 2 leechers")
        );
        assert_eq!(told("203.0.113.7", "10.0.0.2").judgement, crate::model::verdict::Judgement::Passed);
        assert_eq!(told("172.18.0.1", "10.0.0.2").judgement, crate::model::verdict::Judgement::Warned);
        assert_eq!(told("172.18.0.1", "inside").judgement, crate::model::verdict::Judgement::Passed);
    }
}
