//! When each environment is reconciled next. Pure: time since the start and chance are arguments. Never lets one
//! environment be reconciled twice at once.

use std::collections::BTreeMap;
use std::time::Duration;

/// The pause after a first failure, where the interval is not shorter; each further failure doubles it.
pub const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause after failures, where the interval is not longer.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// How one pass over an environment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is as the manifest wants it.
    Well,
    /// It is left alone: suspended, or to be destroyed.
    Held,
    /// Something failed.
    Failed,
}

/// The environments and when each is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    interval: Duration,
    parallel: usize,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Environments that must have ended well first.
    needs: Vec<String>,
    /// When, since the start.
    due: Duration,
    /// What its pass does, if one runs.
    run: Option<Run>,
    /// Failures in a row.
    failures: u32,
    /// Whether its last pass ended well and nothing was asked of it since.
    well: bool,
}

/// A pass that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// It ends, and then waits for its time.
    Once,
    /// Something changed meanwhile: another one follows at once.
    Again,
    /// Its environment left the manifest meanwhile.
    Gone,
}

impl Schedule {
    /// A schedule without environments. At most `parallel` run at once.
    #[must_use]
    pub const fn new(interval: Duration, parallel: usize) -> Self {
        Self { interval, parallel, entries: BTreeMap::new() }
    }

    /// A new manifest: its environments, each with those it depends on, are due at once and have not failed yet.
    pub fn renew(&mut self, environments: &BTreeMap<String, Vec<String>>, now: Duration) {
        self.entries.retain(|name, entry| entry.run.is_some() || environments.contains_key(name));
        for (_, entry) in self.entries.iter_mut().filter(|(name, _)| !environments.contains_key(*name)) {
            entry.run = Some(Run::Gone);
        }
        for (name, needs) in environments {
            let entry = self.entries.entry(name.clone()).or_insert_with(|| Entry {
                needs: Vec::new(),
                due: now,
                run: None,
                failures: 0,
                well: false,
            });
            entry.needs.clone_from(needs);
            entry.ask(now);
        }
    }

    /// Something that this environment is made from changed: it is due at once.
    pub fn touch(&mut self, name: &str, now: Duration) {
        if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.run != Some(Run::Gone)) {
            entry.ask(now);
        }
    }

    /// All are due at once.
    pub fn force(&mut self, now: Duration) {
        for entry in self.entries.values_mut() {
            entry.due = entry.due.min(now);
            entry.run = entry.run.map(Run::again);
        }
    }

    /// Starts the environment that has been due for longest, if one may start now.
    pub fn start(&mut self, now: Duration) -> Option<String> {
        if self.running() >= self.parallel {
            return None;
        }
        let due = self.ready().filter(|(_, entry)| entry.due <= now).min_by_key(|(name, entry)| (entry.due, *name));
        let name = due.map(|(name, _)| name.clone())?;
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.run = Some(Run::Once);
        }
        Some(name)
    }

    /// A pass ended. `chance` is between 0 and 1. Returns the time until the next one.
    pub fn ended(&mut self, name: &str, end: End, now: Duration, chance: f64) -> Option<Duration> {
        let entry = self.entries.get_mut(name)?;
        match entry.run.take() {
            Some(Run::Gone) => {
                self.entries.remove(name);
                return None;
            }
            Some(Run::Again) => {
                entry.due = now;
                entry.well &= end == End::Well;
                return Some(Duration::ZERO);
            }
            Some(Run::Once) | None => {}
        }
        entry.well = end == End::Well;
        entry.failures = if end == End::Failed { entry.failures.saturating_add(1) } else { 0 };
        let pause = if end == End::Failed { back_off(self.interval, entry.failures) } else { self.interval };
        let pause = jittered(pause, chance);
        entry.due = now + pause;
        Some(pause)
    }

    /// When the next environment that may start is due; `None` where all wait for one that runs or failed.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        if self.running() >= self.parallel {
            return None;
        }
        self.ready().map(|(_, entry)| entry.due).min()
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.entries.values().filter(|entry| entry.run.is_some()).count()
    }

    /// The environments that are due and the one that each waits for.
    #[must_use]
    pub fn waiting(&self, now: Duration) -> Vec<(&str, &str)> {
        let idle = self.entries.iter().filter(|(_, entry)| entry.run.is_none() && entry.due <= now);
        idle.filter_map(|(name, entry)| Some((name.as_str(), self.missing(entry)?))).collect()
    }

    fn ready(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.run.is_none() && self.missing(entry).is_none())
    }

    /// What an environment waits for: one that it depends on and that is not well.
    fn missing<'a>(&'a self, entry: &'a Entry) -> Option<&'a str> {
        let lacks = |need: &&String| self.entries.get(*need).is_some_and(|need| need.run.is_some() || !need.well);
        entry.needs.iter().find(lacks).map(String::as_str)
    }
}

impl Run {
    /// The same with another one after it, where there is still something to run over.
    const fn again(self) -> Self {
        match self {
            Self::Gone => Self::Gone,
            Self::Once | Self::Again => Self::Again,
        }
    }
}

impl Entry {
    fn ask(&mut self, now: Duration) {
        self.due = now;
        self.run = self.run.map(|_| Run::Again);
        self.failures = 0;
        self.well = false;
    }
}

/// The pause after so many failures in a row, before jitter.
#[must_use]
pub fn back_off(interval: Duration, failures: u32) -> Duration {
    let first = FIRST_PAUSE.min(interval);
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE.max(interval))
}

/// A pause that is up to a fifth shorter or longer, so that many environments do not stay in step.
#[must_use]
pub fn jittered(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
