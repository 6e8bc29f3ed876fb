//! A client of one UDP tracker: connection IDs, requests and retransmissions (BEP 15). Does not wait beyond the
//! deadline.

use super::Trouble;
use super::udp::{self, Action, Answer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;
use zeroize::Zeroizing;

/// First wait for a response (BEP 15). Each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// Number of times that the wait is doubled (BEP 15).
const LATEST: u32 = 8;
/// Age after which a client requests a new connection ID (BEP 15).
const CONNECTION: Duration = Duration::from_mins(1);
/// Divisor of the available time: the first wait is at most 1/15 of it, so that a lost packet is sent again three
/// times.
const TRIES: u32 = 15;

/// A client of one tracker, with one local port.
pub(super) struct Client {
    socket: UdpSocket,
    address: SocketAddr,
    connection: Option<(u64, Instant)>,
    first_wait: Duration,
    until: Instant,
}

impl Client {
    pub(super) async fn new(address: SocketAddr, until: Instant) -> Result<Self, Trouble> {
        let any = if address.is_ipv6() { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let socket = UdpSocket::bind((any, 0)).await.map_err(|error| unsent(&error))?;
        socket.connect(address).await.map_err(|error| unsent(&error))?;
        let first_wait = FIRST_WAIT.min(until.saturating_duration_since(Instant::now()) / TRIES);
        Ok(Self { socket, address, connection: None, first_wait, until })
    }

    /// Returns the source address.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.socket.local_addr().ok().map(|own| own.ip())
    }

    /// Returns the connection ID. Requests a new one if there is none or the last one is a minute old.
    pub(super) async fn connect(&mut self) -> Result<u64, Trouble> {
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

    /// Sends a request and retransmits it with doubling waits until a response arrives. `packet` builds the request
    /// from the connection ID and the transaction ID.
    pub(super) async fn request(
        &mut self,
        action: Action,
        packet: impl Fn(u64, u32) -> Vec<u8>,
    ) -> Result<Answer, Trouble> {
        let transaction = transaction();
        for number in 0_u32.. {
            let packet = Zeroizing::new(packet(self.connect().await?, transaction));
            let wait = self.first_wait * (1 << number.min(LATEST));
            if let Some(answer) = self.exchange(&packet, action, transaction, wait).await? {
                return Ok(answer);
            }
        }
        Err(self.silent(action))
    }

    /// Sends a packet once and waits for the response. Ignores packets of other transactions.
    ///
    /// # Errors
    /// If the deadline of the whole check has passed, or the network reports that nothing listens there.
    async fn exchange(
        &self,
        packet: &[u8],
        action: Action,
        transaction: u32,
        wait: Duration,
    ) -> Result<Option<Answer>, Trouble> {
        // Slightly before the deadline, so that the last error can still be reported.
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
    // The last bytes of a random UUID. Earlier bytes hold its version and variant.
    let bytes = Uuid::new_v4().into_bytes();
    u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}

fn unsent(error: &std::io::Error) -> Trouble {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Trouble::passing("nothing listens there (port unreachable)"),
        kind => Trouble::passing(kind.to_string()),
    }
}

/// Returns the failure for a response other than the expected one.
pub(super) fn refused(action: Action, answer: Answer) -> Trouble {
    let name = action.name();
    Trouble::lasting(match answer {
        Answer::Refused(words) => format!("the tracker refuses the {name}: {words}"),
        Answer::Malformed(wrong) => format!("the answer to {name} {wrong}"),
        _ => format!("the answer to {name} is of another kind than the request"),
    })
}
