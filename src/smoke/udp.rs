//! Packets of a UDP tracker (BEP 15, and the path of BEP 41), as pure functions. Never sends any, and never trusts a
//! length it reads.

use super::InfoHash;
use super::announce::compact;
pub use super::swarm::{Count, Peer, Standing};
use std::net::SocketAddr;

/// What every connect request begins with.
const MAGIC: u64 = 0x0417_2710_1980;
/// The most of a path that one option can hold, in bytes.
const OPTION: usize = 255;

/// What is asked, and so what must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// For a connection id.
    Connect = 0,
    /// To tell of a peer and hear of others.
    Announce = 1,
    /// To count.
    Scrape = 2,
}

impl Action {
    /// Its name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Announce => "announce",
            Self::Scrape => "scrape",
        }
    }
}

/// What a tracker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A connection id, good for a minute.
    Connected(u64),
    /// The other peers, as bytes: their width is that of the network's addresses, see [`peers`].
    Announced(Vec<u8>),
    /// What it counts.
    Scraped(Count),
    /// It refuses, in its own words (action 3).
    Refused(String),
    /// It is no answer as the BEP describes it.
    Malformed(&'static str),
}

/// A request for a connection id.
#[must_use]
pub fn connect(transaction: u32) -> Vec<u8> {
    [&MAGIC.to_be_bytes()[..], &(Action::Connect as u32).to_be_bytes(), &transaction.to_be_bytes()].concat()
}

/// An announce; `path` is what stands after the authority in the tracker's URL (`/announce/KEY`), or nothing.
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

/// A scrape of one torrent.
#[must_use]
pub fn scrape(connection: u64, transaction: u32, info_hash: &InfoHash) -> Vec<u8> {
    let mut packet = head(connection, Action::Scrape, transaction);
    packet.extend_from_slice(info_hash);
    packet
}

fn head(connection: u64, action: Action, transaction: u32) -> Vec<u8> {
    [&connection.to_be_bytes()[..], &(action as u32).to_be_bytes(), &transaction.to_be_bytes()].concat()
}

/// Reads an answer to that action; `None` where it belongs to another transaction, or is too short to tell: BEP 15
/// says to ignore those.
#[must_use]
pub fn answer(packet: &[u8], action: Action, transaction: u32) -> Option<Answer> {
    if number(packet, 4)? != transaction {
        return None;
    }
    let body = packet.get(8..)?;
    Some(match number(packet, 0)? {
        3 => Answer::Refused(String::from_utf8_lossy(body).trim_end_matches('\0').to_owned()),
        code if code != action as u32 => Answer::Malformed("is of another kind than the question"),
        _ => match action {
            Action::Connect => connected(body),
            Action::Announce => body.get(12..).map(|peers| Answer::Announced(peers.to_vec())),
            // Seeders, those who completed, leechers.
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

/// The peers of an announce: with IPv6 addresses where it was asked over IPv6, else with IPv4 ones.
///
/// # Errors
/// In words, where the bytes do not come out even, or are of the other family, as some trackers send that listen on
/// `[::]` for both.
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
