//! What can be asked, as data. Never asks.

use super::{InfoHash, Site, Vantage};
use crate::io::http::Roots;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// One thing to be asked.
#[derive(Clone, Debug)]
pub struct Check {
    /// What it is called in tables and reports (`HTTP tracker 7070 over IPv6`).
    pub name: String,
    /// Where it is asked from.
    pub vantage: Vantage,
    /// What is asked.
    pub probe: Probe,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Probe {
    /// A page: its status, and a text in it.
    Http {
        /// Whom.
        site: Site,
        /// Path and query, with the leading slash. Not secret.
        path: String,
        /// The status it must have.
        status: u16,
        /// A text that must be in the body.
        contains: Option<String>,
    },
    /// A `BitTorrent` tracker over HTTP (BEP 3, 7, 23, 48): its health, and two peers that must find each other.
    HttpTracker {
        /// Whom.
        site: Site,
        /// What stands before `/announce`; usually nothing.
        prefix: String,
        /// The key that a private tracker wants in the path.
        key: Option<SecretString>,
        /// The torrent to announce, for trackers that serve listed ones only; a random one where `None`.
        info_hash: Option<InfoHash>,
    },
    /// A `BitTorrent` tracker over UDP (BEP 15, 41): two peers that must find each other.
    UdpTracker {
        /// Whom. IPv4 and IPv6 are two probes: swarms are kept apart.
        address: SocketAddr,
        /// The key of a private tracker, sent as `/announce/KEY` (BEP 41). Torrust has no keys over UDP: one that is
        /// private refuses every announce, which is warned of, or, as 3.0.0, does not even listen.
        key: Option<SecretString>,
        /// The torrent to announce, for trackers that serve listed ones only; a random one where `None`.
        info_hash: Option<InfoHash>,
    },
    /// A certificate: its chain, its name, its end.
    Tls {
        /// The name that must be in it.
        domain: String,
        /// Where it is shown.
        connect: SocketAddr,
        /// Who may have issued it.
        roots: Roots,
    },
    /// The addresses of a name, as this machine resolves it.
    Dns {
        /// The name.
        domain: String,
        /// Every one of these must be among them.
        expected: BTreeSet<IpAddr>,
    },
    /// Prometheus: that it scrapes, and what.
    Prometheus {
        /// Whom.
        site: Site,
        /// The jobs that must have targets; the targets of others are not looked at.
        jobs: BTreeSet<String>,
    },
    /// Grafana: its database, and its datasources where there is a login.
    Grafana {
        /// Whom.
        site: Site,
        /// Who may see the datasources.
        login: Option<Login>,
    },
    /// A tracker's figures in the text that Prometheus reads, which Torrust 3.0.0 does not have yet.
    Metrics {
        /// Whom.
        site: Site,
        /// The path (`/api/v1/metrics`), without a query.
        path: String,
        /// The API's token.
        token: SecretString,
    },
}

/// A user of Grafana.
#[derive(Clone, Debug)]
pub struct Login {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: SecretString,
}
