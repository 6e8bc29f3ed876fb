//! The swarm of a stand-in for a tracker, and its possible faults. Supports one torrent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// The behavior of a stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Good,
    /// Answers without any peers.
    Forgets,
    /// Knows the peers, but does not count them.
    Miscounts,
    /// Rejects announces, and repeats the key that it received.
    Refuses,
    /// Rejects peers that leave.
    Clings,
    /// Sends nothing.
    Silent,
    /// Loses the first three packets (over UDP).
    Lossy,
    /// Answers each packet with others' transactions first (over UDP).
    Babbles,
    /// Answers with IPv6 addresses for IPv4 peers, as on a socket for both (over UDP).
    Maps,
    /// Answers with half a packet, or half a dictionary.
    CutsOff,
    /// Answers in the long form, not in the compact one (over HTTP).
    Long,
    /// Answers 503 twice before its first real answer (over HTTP).
    Starts,
}

/// Peer id → its address, and the number of bytes that it still needs.
type Peers = BTreeMap<Vec<u8>, (SocketAddr, u64)>;

/// The peers of a stand-in.
#[derive(Clone, Default)]
pub struct Swarm(Arc<Mutex<Peers>>);

impl Swarm {
    pub fn announce(&self, id: &[u8], at: SocketAddr, left: u64, stopped: bool) -> Vec<SocketAddr> {
        let mut peers = self.0.lock().unwrap();
        if stopped {
            peers.remove(id);
        } else {
            peers.insert(id.to_vec(), (at, left));
        }
        peers.iter().filter(|(other, _)| *other != id).map(|(_, (at, _))| *at).collect()
    }

    /// Returns the numbers of seeders and leechers.
    pub fn count(&self) -> (u32, u32) {
        let peers = self.0.lock().unwrap();
        let seeders = peers.values().filter(|(_, left)| *left == 0).count();
        (u32::try_from(seeders).unwrap(), u32::try_from(peers.len() - seeders).unwrap())
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

/// Returns peers in the compact form, only those with the given address width.
pub fn compact(peers: &[SocketAddr], ipv6: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for peer in peers {
        match peer {
            SocketAddr::V4(v4) if !ipv6 => bytes.extend(v4.ip().octets()),
            SocketAddr::V6(v6) if ipv6 => bytes.extend(v6.ip().octets()),
            _ => continue,
        }
        bytes.extend(peer.port().to_be_bytes());
    }
    bytes
}
