//! What a watch knows of its environments, for those who ask over HTTP. Never asks a host.

use crate::model::event::{EnvironmentView, Why};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The longest time between two turns of a loop that lives.
pub const ALIVE: Duration = Duration::from_mins(1);

/// Everything there is to show.
#[derive(Clone, Debug)]
pub struct Board {
    /// Each environment of the manifest.
    pub environments: BTreeMap<String, Entry>,
    /// What is wrong with the manifest as it is now, if it is not the one that is followed.
    pub invalid: Option<String>,
    /// When the loop last came round.
    pub turned: Instant,
}

/// One environment.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// How it stood at the end of its last pass; `None` before the first one.
    pub view: Option<EnvironmentView>,
    /// When its last pass ended.
    pub at: Option<Timestamp>,
    /// How long that took.
    pub took: Duration,
    /// How many passes ended.
    pub passes: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many facts were put right that had drifted.
    pub corrections: u64,
}

impl Board {
    /// A board of a manifest that was just read.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { environments: BTreeMap::new(), invalid: None, turned: now }
    }

    /// Another manifest: its environments, those that were there before with what is known of them.
    pub fn renew<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let names: BTreeSet<&str> = names.collect();
        self.environments.retain(|name, _| names.contains(name.as_str()));
        for name in names {
            self.environments.entry(name.to_owned()).or_default();
        }
    }

    /// What keeps this watch from being well; `None` where nothing does.
    #[must_use]
    pub fn trouble(&self, now: Instant) -> Option<String> {
        let stuck = now.saturating_duration_since(self.turned);
        if stuck > ALIVE {
            return Some(format!("the loop is stuck for {} s", stuck.as_secs()));
        }
        self.invalid.as_ref().map(|why| format!("the manifest is not valid: {why}"))
    }
}

impl Entry {
    /// The facts that watch gave up, as `KIND:FACT`.
    pub fn quarantined(&self) -> impl Iterator<Item = String> {
        let left = self.view.iter().flat_map(|view| &view.left).filter(|left| left.why == Why::Quarantined);
        left.flat_map(|left| left.changes.iter().map(|change| format!("{}:{}", left.kind, change.fact)))
    }
}
