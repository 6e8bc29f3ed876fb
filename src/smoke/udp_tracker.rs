//! The round trip over UDP: connect, two announces, a scrape, and both peers leave again. Never waits beyond the
//! deadline, and never says the key.

use super::swarm::{self, Pair, Peer, Standing};
use super::udp::{self, Action, Answer};
use super::{Found, InfoHash, Judgement, Note, Trouble};
use secrecy::{ExposeSecret, SecretString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;
use zeroize::Zeroizing;

/// BEP 15: the first wait for an answer; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// BEP 15: the wait is doubled this often.
const LATEST: u32 = 8;
/// BEP 15: a client asks for a new connection id after this time.
const CONNECTION: Duration = Duration::from_secs(60);
/// The first wait is at most this part of the time there is, so that a lost packet is sent again three times.
const TRIES: u32 = 15;

struct Tracker {
    socket: UdpSocket,
    address: SocketAddr,
    path: Zeroizing<String>,
    connection: Option<(u64, Instant)>,
    first_wait: Duration,
    until: Instant,
}

/// Lets two peers find each other on a tracker.
pub(super) async fn round_trip(
    address: SocketAddr,
    key: Option<&SecretString>,
    info_hash: Option<InfoHash>,
    until: Instant,
) -> Found {
    let mut tracker = Tracker::new(address, key, until).await?;
    let pair = Pair::random(info_hash);
    tracker.connect().await?;
    match tracker.announce(&pair, &pair.first, Standing::Seeds).await? {
        Answer::Refused(words) if key.is_some() => {
            return Ok(Note::warned(format!(
                "connects, but refuses announces, as Torrust does over UDP while it is private: {words}"
            )));
        }
        other => expect_peers(other)?,
    };
    let met = tracker.meet(&pair).await;
    if met.as_ref().is_err_and(|trouble| trouble.again) {
        return met;
    }
    let first = tracker.announce(&pair, &pair.first, Standing::Stops).await.and_then(expect_peers);
    let second = tracker.announce(&pair, &pair.second, Standing::Stops).await.and_then(expect_peers);
    let note = met?;
    match first.and(second) {
        Ok(_) => Ok(note),
        Err(trouble) => Ok(Note {
            judgement: Judgement::Warned,
            detail: format!("{}; the peers of this test stay for a while: {}", note.detail, trouble.detail),
        }),
    }
}

impl Tracker {
    async fn new(address: SocketAddr, key: Option<&SecretString>, until: Instant) -> Result<Self, Trouble> {
        let any = if address.is_ipv6() { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let socket = UdpSocket::bind((any, 0)).await.map_err(|error| unsent(&error))?;
        socket.connect(address).await.map_err(|error| unsent(&error))?;
        let path = key.map(|key| format!("/announce/{}", key.expose_secret())).unwrap_or_default();
        let first_wait = FIRST_WAIT.min(until.saturating_duration_since(Instant::now()) / TRIES);
        Ok(Self { socket, address, path: Zeroizing::new(path), connection: None, first_wait, until })
    }

    async fn meet(&mut self, pair: &Pair) -> Found {
        let answer = self.announce(pair, &pair.second, Standing::Leeches).await?;
        let peers = udp::peers(&expect_peers(answer)?, self.address.is_ipv6())
            .map_err(|wrong| Trouble::lasting(format!("the answer to the announce {wrong}")))?;
        let seen = pair.seen(&peers)?;
        let transaction = transaction();
        let answer =
            self.request(Action::Scrape, transaction, |id| udp::scrape(id, transaction, &pair.info_hash)).await?;
        let Answer::Scraped(count) = answer else { return Err(refused(Action::Scrape, answer)) };
        swarm::counted(count)?;
        let own = self.socket.local_addr().ok().map(|own| own.ip());
        let own = own.filter(|own| !own.to_canonical().is_loopback());
        Ok(swarm::told(seen, self.address.ip(), own, count))
    }

    async fn announce(&mut self, pair: &Pair, peer: &Peer, standing: Standing) -> Result<Answer, Trouble> {
        let transaction = transaction();
        let path = self.path.clone();
        let packet = |id| udp::announce(id, transaction, &pair.info_hash, peer, standing, &path);
        self.request(Action::Announce, transaction, packet).await
    }

    /// The connection id; a new one where there is none, or the last one is a minute old.
    async fn connect(&mut self) -> Result<u64, Trouble> {
        if let Some((id, at)) = self.connection
            && at.elapsed() < CONNECTION
        {
            return Ok(id);
        }
        let transaction = transaction();
        let packet = udp::connect(transaction);
        let at = Instant::now();
        for number in 0_u32.. {
            match self
                .exchange(&packet, Action::Connect, transaction, self.first_wait * (1 << number.min(LATEST)))
                .await?
            {
                None => {}
                Some(Answer::Connected(id)) => {
                    self.connection = Some((id, at));
                    return Ok(id);
                }
                Some(other) => return Err(refused(Action::Connect, other)),
            }
        }
        Err(self.silent(Action::Connect))
    }

    /// Asks, and asks again where no answer comes, with a wait that doubles.
    async fn request(
        &mut self,
        action: Action,
        transaction: u32,
        packet: impl Fn(u64) -> Vec<u8>,
    ) -> Result<Answer, Trouble> {
        for number in 0_u32.. {
            let packet = Zeroizing::new(packet(self.connect().await?));
            let wait = self.first_wait * (1 << number.min(LATEST));
            if let Some(answer) = self.exchange(&packet, action, transaction, wait).await? {
                return Ok(answer);
            }
        }
        Err(self.silent(action))
    }

    /// Sends once and waits for the answer. What belongs to another transaction is ignored.
    ///
    /// # Errors
    /// Where the time of the whole check is over, or the network says that nobody is there.
    async fn exchange(
        &self,
        packet: &[u8],
        action: Action,
        transaction: u32,
        wait: Duration,
    ) -> Result<Option<Answer>, Trouble> {
        // A little before the end, so that what was asked last can still be said.
        let end = self.until - self.first_wait / 8;
        if Instant::now() >= end {
            return Err(self.silent(action));
        }
        self.socket.send(packet).await.map_err(|error| unsent(&error))?;
        let mut buffer = [0; 4096];
        let deadline = end.min(Instant::now() + wait);
        while let Ok(received) = timeout_at(deadline, self.socket.recv(&mut buffer)).await {
            let length = received.map_err(|error| unsent(&error))?;
            let answer = udp::answer(&buffer[..length], action, transaction);
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }

    fn silent(&self, action: Action) -> Trouble {
        Trouble::passing(format!("no answer to {} from {}", action.name(), self.address))
    }
}

fn transaction() -> u32 {
    // The last bytes of a random id; its first ones hold a version.
    let bytes = Uuid::new_v4().into_bytes();
    u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}

fn unsent(error: &std::io::Error) -> Trouble {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Trouble::passing("nothing listens there (port unreachable)"),
        _ => Trouble::passing(error.to_string()),
    }
}

fn expect_peers(answer: Answer) -> Result<Vec<u8>, Trouble> {
    if let Answer::Announced(peers) = answer { Ok(peers) } else { Err(refused(Action::Announce, answer)) }
}

fn refused(action: Action, answer: Answer) -> Trouble {
    let name = action.name();
    Trouble::lasting(match answer {
        Answer::Refused(words) => format!("the tracker refuses the {name}: {words}"),
        Answer::Malformed(wrong) => format!("the answer to {name} {wrong}"),
        _ => format!("the answer to {name} is of another kind than the question"),
    })
}
