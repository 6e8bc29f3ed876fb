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
mod probe;
pub(crate) mod prometheus;
mod site;
mod swarm;
pub(crate) mod tls;
pub mod udp;
mod udp_client;
mod udp_tracker;
mod verdict;

pub use ask::{ask, ask_all};
pub use probe::{Check, Login, Probe};
pub use site::Site;

use crate::model::verdict::{Judgement, Vantage, Verdict};
use verdict::{Found, Note, Trouble};

/// The name of a torrent for a tracker: 20 bytes.
pub type InfoHash = [u8; 20];
