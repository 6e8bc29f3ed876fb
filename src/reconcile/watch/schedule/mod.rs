//! The schedule of reconcile passes. Pure: the time since the start and the random number are arguments. Runs at most
//! one pass per environment at a time.

use std::collections::BTreeMap;
use std::time::Duration;

/// The pause after a first failure, unless the interval is shorter. Each further failure doubles the pause.
pub const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause after failures, unless the interval is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The end of one pass over an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The environment matches the manifest.
    Well,
    /// The environment was left alone: it is suspended, or the pass would have destroyed something.
    Held,
    /// A step failed.
    Failed,
}

/// The environments and their due times.
#[derive(Clone, Debug)]
pub struct Schedule {
    interval: Duration,
    parallel: usize,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Environments whose last pass must have ended well first.
    needs: Vec<String>,
    /// The due time, since the start.
    due: Duration,
    /// The running pass, if any.
    run: Option<Run>,
    /// The number of failures in a row.
    failures: u32,
    /// True if the last pass ended well and no pass was requested since.
    well: bool,
}

/// A running pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// The environment waits for its next due time after this pass.
    Once,
    /// Something changed during this pass: another pass follows at once.
    Again,
    /// The environment left the manifest during this pass.
    Gone,
}

impl Schedule {
    /// Returns a schedule without environments that runs at most `parallel` passes at once.
    #[must_use]
    pub const fn new(interval: Duration, parallel: usize) -> Self {
        Self { interval, parallel, entries: BTreeMap::new() }
    }

    /// Takes over the environments of a new manifest, each with its dependencies. All are due at once, without
    /// failures.
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

    /// Makes an environment due at once because one of its sources changed.
    pub fn touch(&mut self, name: &str, now: Duration) {
        if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.run != Some(Run::Gone)) {
            entry.ask(now);
        }
    }

    /// Makes all environments due at once.
    pub fn force(&mut self, now: Duration) {
        for entry in self.entries.values_mut() {
            entry.due = entry.due.min(now);
            entry.run = entry.run.map(Run::again);
        }
    }

    /// Starts the environment that has been due for the longest time, if one may start now.
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

    /// Ends a pass. `chance` is between 0 and 1. Returns the time until the next pass.
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

    /// Returns the due time of the next environment that may start, or `None` if all wait for an environment that runs
    /// or failed.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        if self.running() >= self.parallel {
            return None;
        }
        self.ready().map(|(_, entry)| entry.due).min()
    }

    /// Returns the number of running passes.
    #[must_use]
    pub fn running(&self) -> usize {
        self.entries.values().filter(|entry| entry.run.is_some()).count()
    }

    /// Returns the environments that are due but wait, each with the environment that it waits for.
    #[must_use]
    pub fn waiting(&self, now: Duration) -> Vec<(&str, &str)> {
        let idle = self.entries.iter().filter(|(_, entry)| entry.run.is_none() && entry.due <= now);
        idle.filter_map(|(name, entry)| Some((name.as_str(), self.missing(entry)?))).collect()
    }

    fn ready(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.run.is_none() && self.missing(entry).is_none())
    }

    /// Returns the dependency that an environment waits for: one that runs or is not well.
    fn missing<'a>(&'a self, entry: &'a Entry) -> Option<&'a str> {
        let lacks = |need: &&String| self.entries.get(*need).is_some_and(|need| need.run.is_some() || !need.well);
        entry.needs.iter().find(lacks).map(String::as_str)
    }
}

impl Run {
    /// Requests another pass after this one, unless the environment left the manifest.
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

/// Returns the pause after so many failures in a row, before jitter.
#[must_use]
pub fn back_off(interval: Duration, failures: u32) -> Duration {
    let first = FIRST_PAUSE.min(interval);
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE.max(interval))
}

/// Returns a pause that is up to a fifth shorter or longer, so that many environments do not run in step.
#[must_use]
pub fn jittered(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
