//! The quarantine of facts that drift again after each correction: they are not corrected until something changes.
//! Pure: time is an argument. State lives only in the process: a restarted `watch` starts with an empty quarantine.

use crate::model::state::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The number of corrections of one fact …
pub const TIMES: usize = 3;
/// … within this time that puts the fact into quarantine.
pub const WITHIN: Duration = Duration::from_hours(1);

/// The times of corrections and the quarantined facts.
#[derive(Clone, Debug, Default)]
pub struct Quarantine {
    corrected: BTreeMap<(String, Kind, String), Vec<Duration>>,
    given_up: BTreeMap<String, BTreeSet<(Kind, String)>>,
}

impl Quarantine {
    /// Records a correction of a fact that had drifted. Returns true if this correction puts the fact into quarantine.
    pub fn corrected(&mut self, environment: &str, kind: Kind, fact: &str, now: Duration) -> bool {
        let times = self.corrected.entry((environment.to_owned(), kind, fact.to_owned())).or_default();
        times.retain(|at| now.saturating_sub(*at) < WITHIN);
        times.push(now);
        times.len() >= TIMES && self.given_up.entry(environment.to_owned()).or_default().insert((kind, fact.to_owned()))
    }

    /// Returns the quarantined facts of an environment.
    pub fn of(&self, environment: &str) -> impl Iterator<Item = &(Kind, String)> {
        self.given_up.get(environment).into_iter().flatten()
    }

    /// Lifts the quarantine of an environment because one of its sources changed.
    pub fn lift(&mut self, environment: &str) {
        self.corrected.retain(|(name, ..), _| name != environment);
        self.given_up.remove(environment);
    }

    /// Lifts the whole quarantine because the manifest changed.
    pub fn lift_all(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_third_correction_within_an_hour_is_the_last() {
        let mut quarantine = Quarantine::default();
        let mut correct = |fact: &str, minutes: u32| quarantine.corrected("web", Kind::Files, fact, MINUTE * minutes);
        assert_eq!([correct("motd", 0), correct("motd", 5), correct("other", 6)], [false; 3]);
        assert_eq!([correct("motd", 10), correct("motd", 11)], [true, false], "it is reported once");
        assert_eq!(quarantine.of("web").collect::<Vec<_>>(), [&(Kind::Files, "motd".to_owned())]);
        assert_eq!(quarantine.of("lab").count(), 0);
        quarantine.lift("web");
        assert_eq!(quarantine.of("web").count(), 0);
        assert!(!quarantine.corrected("web", Kind::Files, "motd", MINUTE * 12));
    }

    proptest! {
        #[test]
        fn only_so_many_within_the_time_are_too_many(gaps in prop::collection::vec(0..4000_u64, 0..20)) {
            let mut quarantine = Quarantine::default();
            let mut times: Vec<Duration> = Vec::new();
            for gap in gaps {
                let now = times.last().copied().unwrap_or_default() + Duration::from_secs(gap);
                times.push(now);
                let said = quarantine.corrected("web", Kind::Services, "web", now);
                let crowd = times.iter().filter(|at| now.saturating_sub(**at) < WITHIN).count();
                let held = quarantine.of("web").count() == 1;
                prop_assert!(crowd < TIMES || held);
                prop_assert!(!said || crowd >= TIMES);
            }
        }
    }
}
