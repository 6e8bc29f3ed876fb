//! Requests to HTTP trackers and their responses (BEP 3, 7, 23, 48), as pure functions. Does no IO.

use super::InfoHash;
use super::bencode::{self, Value};
pub use super::swarm::{Count, Peer, Standing};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An HTTP tracker's response to an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Seconds until the peer's next announce.
    pub interval: u64,
    /// The other peers of both address families, from the compact or the long form.
    pub peers: Vec<SocketAddr>,
}

/// The reason why a response is unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The tracker's own failure reason.
    Refused(String),
    /// The deviation from the BEPs.
    Malformed(String),
}

/// Returns the query of an announce, without the question mark. Requests compact responses (BEP 23).
#[must_use]
pub fn query(info_hash: &InfoHash, peer: &Peer, standing: Standing) -> String {
    let (left, event) = match standing {
        Standing::Seeds => (0, "started"),
        Standing::Leeches => (1, "started"),
        Standing::Stops => (0, "stopped"),
    };
    format!(
        "info_hash={}&peer_id={}&port={}&uploaded=0&downloaded=0&left={left}&event={event}&compact=1&numwant=50",
        escape(info_hash),
        escape(&peer.id),
        peer.port
    )
}

/// Returns the query of a scrape (BEP 48), without the question mark.
#[must_use]
pub fn scrape_query(info_hash: &InfoHash) -> String {
    format!("info_hash={}", escape(info_hash))
}

/// Escapes bytes for a URL: all except the unreserved characters of RFC 3986 become `%XX`.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Parses the response to an announce.
///
/// # Errors
/// If the tracker refuses, or the response deviates from the BEPs.
pub fn announced(body: &[u8]) -> Result<Announced, Refusal> {
    let answer = read(body)?;
    let interval = answer.get("interval").and_then(Value::integer).and_then(|seconds| u64::try_from(seconds).ok());
    let interval = interval.ok_or_else(|| malformed("has no interval"))?;
    let (near, far) = (answer.get("peers"), answer.get("peers6"));
    if near.is_none() && far.is_none() {
        return Err(malformed("has no peers"));
    }
    let mut peers = match near {
        None => Vec::new(),
        Some(Value::Bytes(bytes)) => compact(bytes, 4).ok_or_else(|| malformed("has peers of a wrong length"))?,
        Some(Value::List(list)) => list.iter().map(long).collect::<Result<_, _>>()?,
        Some(_) => return Err(malformed("has peers that are neither a string nor a list")),
    };
    if let Some(value) = far {
        let compact = value.bytes().and_then(|bytes| compact(bytes, 16));
        peers.extend(compact.ok_or_else(|| malformed("has peers6 of a wrong length"))?);
    }
    Ok(Announced { interval, peers })
}

/// Parses the response to a scrape of one torrent. If the tracker does not know the torrent, the counts are zero.
///
/// # Errors
/// If the tracker refuses, or the response deviates from BEP 48.
pub fn scraped(body: &[u8], info_hash: &InfoHash) -> Result<Count, Refusal> {
    let answer = read(body)?;
    let Some(Value::Dictionary(files)) = answer.get("files") else { return Err(malformed("has no files")) };
    let Some(file) = files.get(info_hash.as_slice()) else { return Ok(Count { seeders: 0, leechers: 0 }) };
    let number = |key| file.get(key).and_then(Value::integer).and_then(|number| u64::try_from(number).ok());
    let counts = number("complete").zip(number("incomplete"));
    let (seeders, leechers) = counts.ok_or_else(|| malformed("does not count complete and incomplete"))?;
    Ok(Count { seeders, leechers })
}

/// Parses peers in the compact form: an address of `width` bytes and a port of two, each in network order (BEP 7, 23).
/// Returns `None` if the length is not a multiple of an entry.
#[must_use]
pub fn compact(bytes: &[u8], width: usize) -> Option<Vec<SocketAddr>> {
    let (entries, rest) = (bytes.chunks_exact(width + 2), bytes.len() % (width + 2));
    let peer = |entry: &[u8]| {
        let (address, port) = entry.split_at_checked(width)?;
        let ip: IpAddr = match width {
            4 => Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).into(),
            _ => Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).into(),
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(port.try_into().ok()?)))
    };
    if rest == 0 { entries.map(peer).collect() } else { None }
}

/// Parses a peer in the long form (BEP 3). The BEP allows a DNS name as `ip`; the supported trackers do not send one.
fn long(peer: &Value<'_>) -> Result<SocketAddr, Refusal> {
    let ip = peer.get("ip").and_then(Value::bytes).and_then(|ip| std::str::from_utf8(ip).ok()?.parse::<IpAddr>().ok());
    let port = peer.get("port").and_then(Value::integer).and_then(|port| u16::try_from(port).ok());
    ip.zip(port).map(SocketAddr::from).ok_or_else(|| malformed("has a peer without ip or port"))
}

fn read(body: &[u8]) -> Result<Value<'_>, Refusal> {
    let value = bencode::parse(body).map_err(|bencode::Malformed(at)| {
        let said = String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned();
        malformed(&format!("is not bencoded at byte {at}: {said:?}"))
    })?;
    match value.get("failure reason").and_then(Value::bytes) {
        Some(reason) => Err(Refusal::Refused(String::from_utf8_lossy(reason).into_owned())),
        None => Ok(value),
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::Malformed(format!("the answer {what}"))
}

#[cfg(test)]
mod tests;
