//! The state that `watch` serves over HTTP for its environments. Contacts no host.

use crate::model::event::{EnvironmentView, Why};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The longest time between two turns of a healthy loop.
pub const ALIVE: Duration = Duration::from_mins(1);

/// The state that is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// The environments of the manifest.
    pub environments: BTreeMap<String, Entry>,
    /// The error of the current manifest, if that is invalid and an earlier one is followed.
    pub invalid: Option<String>,
    /// The time of the loop's last turn.
    pub turned: Instant,
}

/// The state of one environment.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The view at the end of the last pass; `None` before the first pass.
    pub view: Option<EnvironmentView>,
    /// The end of the last pass.
    pub at: Option<Timestamp>,
    /// The duration of the last pass.
    pub took: Duration,
    /// The number of passes that ended.
    pub passes: u64,
    /// The number of passes that failed.
    pub failures: u64,
    /// The number of facts that had drifted and were corrected.
    pub corrections: u64,
}

impl Served {
    /// Returns an empty board for a manifest that was just read.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { environments: BTreeMap::new(), invalid: None, turned: now }
    }

    /// Takes over the environments of a new manifest. Those that the board already has keep their state.
    pub fn renew<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let names: BTreeSet<&str> = names.collect();
        self.environments.retain(|name, _| names.contains(name.as_str()));
        for name in names {
            self.environments.entry(name.to_owned()).or_default();
        }
    }

    /// Returns the reason why this watch is unhealthy, or `None` if it is healthy.
    #[must_use]
    pub fn trouble(&self, now: Instant) -> Option<String> {
        let stuck = now.saturating_duration_since(self.turned);
        if stuck > ALIVE {
            return Some(format!("the loop has been stuck for {} s", stuck.as_secs()));
        }
        self.invalid.as_ref().map(|why| format!("the manifest is not valid: {why}"))
    }
}

impl Entry {
    /// Returns the facts that `watch` no longer corrects, as `KIND:FACT`.
    pub fn quarantined(&self) -> impl Iterator<Item = String> {
        let left = self.view.iter().flat_map(|view| &view.left).filter(|left| left.why == Why::Quarantined);
        left.flat_map(|left| left.changes.iter().map(|change| format!("{}:{}", left.kind, change.fact)))
    }
}
