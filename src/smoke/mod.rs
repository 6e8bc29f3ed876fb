//! Whether a running tracker stack works, asked from this machine: probes as data in, verdicts out. Never knows the
//! manifest, and never leaves a peer of its own in a swarm where the tracker lets it take it away.

pub mod announce;
mod ask;
pub mod bencode;
mod dns;
pub mod facts;
mod grafana;
mod http;
mod http_tracker;
mod metrics;
mod prometheus;
mod site;
mod swarm;
mod tls;
pub mod udp;
mod udp_tracker;

pub use ask::{ask, ask_all};
pub use site::Site;

use crate::web::Roots;
use secrecy::SecretString;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The name of a torrent for a tracker: 20 bytes.
pub type InfoHash = [u8; 20];

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

/// Where a check is asked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// This machine, as any client.
    Outside,
    /// The host itself, by its shell or through a forwarded port.
    Inside,
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
    /// A BitTorrent tracker over HTTP (BEP 3, 7, 23, 48): its health, and two peers that must find each other.
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
    /// A BitTorrent tracker over UDP (BEP 15, 41): two peers that must find each other.
    UdpTracker {
        /// Whom. IPv4 and IPv6 are two probes: swarms are kept apart.
        address: SocketAddr,
        /// The key of a private tracker, sent as `/announce/KEY` (BEP 41). Torrust has no keys over UDP and refuses
        /// every announce then, which is warned of, not failed.
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

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The check's name.
    pub name: String,
    /// Where it was asked from.
    pub vantage: Vantage,
    /// How it ended.
    pub judgement: Judgement,
    /// What was found, on one line, sentence case aside; the reason where it was skipped. Never a secret.
    pub detail: String,
    /// How long it took.
    pub took: Duration,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// It works.
    Passed,
    /// It works, and somebody should look at it.
    Warned,
    /// It does not work.
    Failed,
    /// It could not be asked here; the detail says why.
    Skipped,
}

impl Judgement {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Warned, Self::Failed, Self::Skipped];

    /// Its name in events and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What an attempt found where it works.
type Found = Result<Note, Trouble>;

/// It works: with what to say, and whether somebody should look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    judgement: Judgement,
    detail: String,
}

/// It does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    detail: String,
    /// Whether asking again may help.
    again: bool,
}

impl Note {
    fn passed(detail: impl Into<String>) -> Self {
        Self { judgement: Judgement::Passed, detail: detail.into() }
    }

    fn warned(detail: impl Into<String>) -> Self {
        Self { judgement: Judgement::Warned, detail: detail.into() }
    }
}

impl Trouble {
    /// For what may pass: something starts, a network is slow.
    fn passing(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), again: true }
    }

    /// For what stays until somebody changes it.
    fn lasting(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), again: false }
    }
}
