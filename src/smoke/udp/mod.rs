//! Packets of a UDP tracker (BEP 15, and the path of BEP 41), as pure functions. Does no IO and checks every length.

use super::InfoHash;
use super::announce::compact;
pub use super::swarm::{Count, Peer, Standing};
use std::net::SocketAddr;

/// First bytes of every connect request.
const MAGIC: u64 = 0x0417_2710_1980;
/// Maximum length in bytes of the part of a path in one option.
const OPTION: usize = 255;

/// The action of a request, and of its expected response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Request for a connection ID.
    Connect = 0,
    /// Announcement of a peer. The response lists other peers.
    Announce = 1,
    /// Request for the counts of a torrent.
    Scrape = 2,
}

impl Action {
    /// Returns the name for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Announce => "announce",
            Self::Scrape => "scrape",
        }
    }
}

/// A tracker's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Connection ID, valid for a minute.
    Connected(u64),
    /// Other peers, as bytes. The size of an entry depends on the address family, see [`peers`].
    Announced(Vec<u8>),
    /// Counts of the torrent.
    Scraped(Count),
    /// Tracker's own error message (action 3).
    Refused(String),
    /// Deviation from the BEP.
    Malformed(&'static str),
}

/// Returns a request for a connection ID.
#[must_use]
pub fn connect(transaction: u32) -> Vec<u8> {
    [&MAGIC.to_be_bytes()[..], &(Action::Connect as u32).to_be_bytes(), &transaction.to_be_bytes()].concat()
}

/// Returns an announce. `path` is the part after the authority in the tracker's URL (`/announce/KEY`), or empty.
#[must_use]
pub fn announce(
    connection: u64,
    transaction: u32,
    info_hash: &InfoHash,
    peer: &Peer,
    standing: Standing,
    path: &str,
) -> Vec<u8> {
    let (left, event): (u64, u32) = match standing {
        Standing::Seeds => (0, 2),
        Standing::Leeches => (1, 2),
        Standing::Stops => (0, 3),
    };
    let mut packet = head(connection, Action::Announce, transaction);
    packet.extend_from_slice(info_hash);
    packet.extend_from_slice(&peer.id);
    packet.extend_from_slice(&0_u64.to_be_bytes()); // downloaded
    packet.extend_from_slice(&left.to_be_bytes());
    packet.extend_from_slice(&0_u64.to_be_bytes()); // uploaded
    packet.extend_from_slice(&event.to_be_bytes());
    packet.extend_from_slice(&0_u32.to_be_bytes()); // address: the packet's own
    packet.extend_from_slice(&peer.id[16..]); // key: as good as any other four random bytes
    packet.extend_from_slice(&50_u32.to_be_bytes()); // peers wanted
    packet.extend_from_slice(&peer.port.to_be_bytes());
    for part in path.as_bytes().chunks(OPTION) {
        packet.push(2); // URLData
        packet.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        packet.extend_from_slice(part);
    }
    packet
}

/// Returns a scrape of one torrent.
#[must_use]
pub fn scrape(connection: u64, transaction: u32, info_hash: &InfoHash) -> Vec<u8> {
    let mut packet = head(connection, Action::Scrape, transaction);
    packet.extend_from_slice(info_hash);
    packet
}

fn head(connection: u64, action: Action, transaction: u32) -> Vec<u8> {
    [&connection.to_be_bytes()[..], &(action as u32).to_be_bytes(), &transaction.to_be_bytes()].concat()
}

/// Parses the response to an action. Returns `None` if it belongs to another transaction or is too short to tell: BEP
/// 15 says to ignore those packets.
#[must_use]
pub fn answer(packet: &[u8], action: Action, transaction: u32) -> Option<Answer> {
    if number(packet, 4)? != transaction {
        return None;
    }
    let body = packet.get(8..)?;
    Some(match number(packet, 0)? {
        3 => Answer::Refused(String::from_utf8_lossy(body).trim_end_matches('\0').to_owned()),
        code if code != action as u32 => Answer::Malformed("is of another kind than the request"),
        _ => match action {
            Action::Connect => connected(body),
            Action::Announce => body.get(12..).map(|peers| Answer::Announced(peers.to_vec())),
            // Seeders, completed downloads, leechers.
            Action::Scrape => number(body, 0).zip(number(body, 8)).map(|(seeders, leechers)| {
                Answer::Scraped(Count { seeders: seeders.into(), leechers: leechers.into() })
            }),
        }
        .unwrap_or(Answer::Malformed("is cut off")),
    })
}

fn connected(body: &[u8]) -> Option<Answer> {
    let id = body.get(..8)?.try_into().ok()?;
    Some(Answer::Connected(u64::from_be_bytes(id)))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Parses the peers of an announce response: IPv6 addresses if the request went over IPv6, else IPv4 addresses.
///
/// # Errors
/// The error text, if the length is not a multiple of an entry, or the addresses are of the other family, as sent by
/// some trackers that listen on `[::]` for both families.
pub fn peers(bytes: &[u8], over_ipv6: bool) -> Result<Vec<SocketAddr>, &'static str> {
    const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    if !over_ipv6 && bytes.len().is_multiple_of(18) && bytes.starts_with(&MAPPED) {
        return Err("has IPv6 addresses (::ffff:…) in answer to IPv4, which clients misread: bind one \
                    socket to 0.0.0.0 and one to [::], with net.ipv6.bindv6only=1");
    }
    compact(bytes, if over_ipv6 { 16 } else { 4 }).ok_or("has peers of a wrong length")
}

#[cfg(test)]
mod tests;
