//! The round trip over HTTP: health, two announces and a scrape; then both peers leave. The key is not printed.

use super::announce::{self, Announced, Refusal, Standing, escape};
use super::site::{Site, unwanted};
use super::swarm::{self, Pair, Peer};
use super::{Found, InfoHash, Trouble};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use zeroize::Zeroizing;

struct Tracker<'a> {
    site: &'a Site,
    prefix: &'a str,
    key: Option<&'a SecretString>,
    until: Instant,
}

/// Checks a tracker's health, then checks that two peers find each other on it.
pub(super) async fn round_trip(
    site: &Site,
    prefix: &str,
    key: Option<&SecretString>,
    info_hash: Option<InfoHash>,
    until: Instant,
) -> Found {
    let tracker = Tracker { site, prefix: prefix.trim_end_matches('/'), key, until };
    tracker.health().await?;
    let pair = Pair::random(info_hash);
    let met = tracker.meet(&pair).await;
    if met.as_ref().is_err_and(|trouble| trouble.again) {
        // The tracker does not answer yet, so it would not remove the peers either.
        return met;
    }
    let first = tracker.announce(&pair, &pair.first, Standing::Stops).await;
    let second = tracker.announce(&pair, &pair.second, Standing::Stops).await;
    Ok(swarm::parted(met?, first.and(second)))
}

impl Tracker<'_> {
    /// Checks the tracker's health. Torrust answers `{"status":"Ok"}`.
    async fn health(&self) -> Result<(), Trouble> {
        let path = format!("{}/health_check", self.prefix);
        let (status, body) = self.site.get(&path, self.until).await.map_err(|trouble| named("health", trouble))?;
        if status != 200 {
            return Err(named("health", unwanted(status, 200, &body)));
        }
        let health = serde_json::from_slice::<serde_json::Value>(&body).ok();
        match health.as_ref().and_then(|health| health.get("status")?.as_str()) {
            Some("Ok") => Ok(()),
            Some(other) => Err(Trouble::passing(format!("its health is {other:?} instead of \"Ok\""))),
            None => Err(Trouble::lasting("the server at its health endpoint is not the tracker")),
        }
    }

    async fn meet(&self, pair: &Pair) -> Found {
        self.announce(pair, &pair.first, Standing::Seeds).await?;
        let answer = self.announce(pair, &pair.second, Standing::Leeches).await?;
        let seen = pair.seen(&answer.peers)?;
        let query = announce::scrape_query(&pair.info_hash);
        let body = self.ask("scrape", &query).await?;
        let count = announce::scraped(&body, &pair.info_hash).map_err(|why| refused("scrape", why))?;
        swarm::counted(count)?;
        // A forwarded port, or a proxy on the same machine, changes every address.
        let connect = self.site.connect;
        let own = if connect.ip().to_canonical().is_loopback() { None } else { swarm::source(connect).await };
        Ok(swarm::told(seen, connect.ip(), own, count))
    }

    async fn announce(&self, pair: &Pair, peer: &Peer, standing: Standing) -> Result<Announced, Trouble> {
        let body = self.ask("announce", &announce::query(&pair.info_hash, peer, standing)).await?;
        announce::announced(&body).map_err(|why| refused("announce", why))
    }

    async fn ask(&self, what: &str, query: &str) -> Result<Vec<u8>, Trouble> {
        let key = self.key.map(|key| Zeroizing::new(format!("/{}", escape(key.expose_secret().as_bytes()))));
        let key = key.as_ref().map_or("", |key| key.as_str());
        let path = Zeroizing::new(format!("{}/{what}{key}?{query}", self.prefix));
        let (status, body) = self.site.get(&path, self.until).await.map_err(|trouble| named(what, trouble))?;
        if status == 200 { Ok(body) } else { Err(named(what, unwanted(status, 200, &body))) }
    }
}

fn named(what: &str, Trouble { detail, again }: Trouble) -> Trouble {
    Trouble { detail: format!("{what}: {detail}"), again }
}

fn refused(what: &str, why: Refusal) -> Trouble {
    match why {
        Refusal::Refused(words) => Trouble::lasting(format!("the tracker refuses the {what}: {words}")),
        Refusal::Malformed(what_is_wrong) => Trouble::lasting(format!("{what}: {what_is_wrong}")),
    }
}
