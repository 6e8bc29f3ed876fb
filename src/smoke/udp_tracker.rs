//! The round trip over UDP: connect, two announces and a scrape; then both peers leave. The key is not printed.

use super::swarm::{self, Pair, Peer, Standing};
use super::udp::{self, Action, Answer};
use super::udp_client::{Client, refused};
use super::{Found, InfoHash, Note, Trouble};
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use tokio::time::Instant;
use zeroize::Zeroizing;

struct Tracker {
    client: Client,
    address: SocketAddr,
    path: Zeroizing<String>,
}

/// Checks that two peers find each other on a tracker.
pub(super) async fn round_trip(
    address: SocketAddr,
    key: Option<&SecretString>,
    info_hash: Option<InfoHash>,
    until: Instant,
) -> Found {
    let path = Zeroizing::new(key.map(|key| format!("/announce/{}", key.expose_secret())).unwrap_or_default());
    let mut tracker = Tracker { client: Client::new(address, until).await?, address, path };
    let pair = Pair::random(info_hash);
    match tracker.announce(&pair, &pair.first, Standing::Seeds).await? {
        Answer::Refused(words) if key.is_some() => {
            return Ok(Note::warned(format!(
                "accepts connections but refuses announces, as a private Torrust tracker does over UDP: {words}"
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
    Ok(swarm::parted(met?, first.and(second)))
}

impl Tracker {
    async fn meet(&mut self, pair: &Pair) -> Found {
        let answer = self.announce(pair, &pair.second, Standing::Leeches).await?;
        let peers = udp::peers(&expect_peers(answer)?, self.address.is_ipv6())
            .map_err(|wrong| Trouble::lasting(format!("the answer to the announce {wrong}")))?;
        let seen = pair.seen(&peers)?;
        let packet = |id, transaction| udp::scrape(id, transaction, &pair.info_hash);
        let answer = self.client.request(Action::Scrape, packet).await?;
        let Answer::Scraped(count) = answer else { return Err(refused(Action::Scrape, answer)) };
        swarm::counted(count)?;
        let own = self.client.source().filter(|own| !own.to_canonical().is_loopback());
        Ok(swarm::told(seen, self.address.ip(), own, count))
    }

    async fn announce(&mut self, pair: &Pair, peer: &Peer, standing: Standing) -> Result<Answer, Trouble> {
        let packet = |id, transaction| udp::announce(id, transaction, &pair.info_hash, peer, standing, &self.path);
        self.client.request(Action::Announce, packet).await
    }
}

fn expect_peers(answer: Answer) -> Result<Vec<u8>, Trouble> {
    if let Answer::Announced(peers) = answer { Ok(peers) } else { Err(refused(Action::Announce, answer)) }
}
