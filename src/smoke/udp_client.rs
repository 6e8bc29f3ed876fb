//! One conversation with a UDP tracker: connection ids, answers to their questions, packets sent again (BEP 15). Never
//! waits beyond the deadline.

use super::Trouble;
use super::udp::{self, Action, Answer};
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
const CONNECTION: Duration = Duration::from_mins(1);
/// The first wait is at most this part of the time there is, so that a lost packet is sent again three times.
const TRIES: u32 = 15;

/// Talks to one tracker from one port.
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

    /// The address it sends from.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.socket.local_addr().ok().map(|own| own.ip())
    }

    /// The connection id; a new one where there is none, or the last one is a minute old.
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

    /// Asks, and asks again where no answer comes, with a wait that doubles. `packet` makes the question from the
    /// connection id and the transaction.
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
        kind => Trouble::passing(kind.to_string()),
    }
}

/// What an answer that is not the wanted one means.
pub(super) fn refused(action: Action, answer: Answer) -> Trouble {
    let name = action.name();
    Trouble::lasting(match answer {
        Answer::Refused(words) => format!("the tracker refuses the {name}: {words}"),
        Answer::Malformed(wrong) => format!("the answer to {name} {wrong}"),
        _ => format!("the answer to {name} is of another kind than the question"),
    })
}
