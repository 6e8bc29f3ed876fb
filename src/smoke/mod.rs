//! Checks from this machine that a running tracker stack works: probes in, verdicts out. Does not know the manifest.
//! Removes its own peers from the swarm if the tracker allows it.

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

/// The ID of a torrent for a tracker: 20 bytes.
pub type InfoHash = [u8; 20];
