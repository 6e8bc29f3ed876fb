//! The probes as data. Does no IO.

use super::{InfoHash, Site, Vantage};
use crate::io::http::Roots;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// Name in tables and reports (`HTTP tracker 7070 over IPv6`).
    pub name: String,
    /// Side from which the check runs.
    pub vantage: Vantage,
    /// The probe.
    pub probe: Probe,
}

/// A probe of one kind of service.
#[derive(Clone, Debug)]
pub enum Probe {
    /// A page: its status, and a text that it contains.
    Http {
        /// The server.
        site: Site,
        /// Path and query, with the leading slash. Not secret.
        path: String,
        /// Required status.
        status: u16,
        /// Text that the body must contain.
        contains: Option<String>,
    },
    /// A `BitTorrent` tracker over HTTP (BEP 3, 7, 23, 48): its health, and two peers that must find each other.
    HttpTracker {
        /// The tracker.
        site: Site,
        /// Path before `/announce`; usually empty.
        prefix: String,
        /// Key that a private tracker requires in the path.
        key: Option<SecretString>,
        /// Torrent to announce, for trackers that serve only listed torrents; `None` for a random one.
        info_hash: Option<InfoHash>,
    },
    /// A `BitTorrent` tracker over UDP (BEP 15, 41): two peers that must find each other.
    UdpTracker {
        /// Address of the tracker. IPv4 and IPv6 need two probes, because trackers keep their swarms apart.
        address: SocketAddr,
        /// Key of a private tracker, sent as `/announce/KEY` (BEP 41). Torrust has no keys over UDP: if it is private,
        /// it refuses every announce, which is a warning, or, like 3.0.0, does not even listen.
        key: Option<SecretString>,
        /// Torrent to announce, for trackers that serve only listed torrents; `None` for a random one.
        info_hash: Option<InfoHash>,
    },
    /// A certificate: its chain, name and expiry.
    Tls {
        /// Name that the certificate must contain.
        domain: String,
        /// Address of the server.
        connect: SocketAddr,
        /// Authorities that may have issued the certificate.
        roots: Roots,
    },
    /// The addresses of a name, as this machine resolves it.
    Dns {
        /// Domain name.
        domain: String,
        /// Addresses that the resolver must return. More addresses cause a warning.
        expected: BTreeSet<IpAddr>,
    },
    /// Prometheus: its targets and their health.
    Prometheus {
        /// The server.
        site: Site,
        /// Jobs that must have targets. Targets of other jobs are ignored.
        jobs: BTreeSet<String>,
    },
    /// Grafana: its database, and its datasources if there is a login.
    Grafana {
        /// The server.
        site: Site,
        /// User who may see the datasources.
        login: Option<Login>,
    },
    /// A tracker's metrics in Prometheus' text format, which Torrust 3.0.0 does not have yet.
    Metrics {
        /// The tracker.
        site: Site,
        /// Path (`/api/v1/metrics`), without a query.
        path: String,
        /// Token of the API.
        token: SecretString,
    },
}

/// A user of Grafana.
#[derive(Clone, Debug)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: SecretString,
}
