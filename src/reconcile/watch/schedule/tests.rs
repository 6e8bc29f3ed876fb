//! Properties of the schedule that hold for every order of events.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const INTERVAL: Duration = Duration::from_mins(5);

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn environments(list: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    list.iter().map(|(name, needs)| ((*name).to_owned(), needs.iter().map(ToString::to_string).collect())).collect()
}

#[test]
fn all_run_at_once_and_then_after_the_interval() {
    let mut schedule = Schedule::new(INTERVAL, 2);
    schedule.renew(&environments(&[("a", &[]), ("b", &[]), ("c", &[])]), seconds(0));
    assert_eq!(
        [schedule.start(seconds(0)), schedule.start(seconds(0)), schedule.start(seconds(0))],
        [Some("a".to_owned()), Some("b".to_owned()), None]
    );
    assert_eq!(schedule.ended("a", End::Well, seconds(1), 0.5), Some(INTERVAL));
    assert_eq!(schedule.start(seconds(1)).as_deref(), Some("c"));
    assert_eq!(schedule.start(seconds(300)), None);
    assert_eq!(schedule.start(seconds(301)), None, "two run");
    schedule.ended("b", End::Well, seconds(301), 0.5);
    assert_eq!(schedule.start(seconds(301)).as_deref(), Some("a"));
}

#[test]
fn an_environment_waits_only_for_those_that_it_depends_on() {
    let mut schedule = Schedule::new(INTERVAL, 9);
    schedule.renew(&environments(&[("db", &[]), ("web", &["db"]), ("other", &[])]), seconds(0));
    assert_eq!(schedule.start(seconds(0)).as_deref(), Some("db"));
    assert_eq!(schedule.start(seconds(0)).as_deref(), Some("other"));
    assert_eq!(schedule.start(seconds(0)), None);
    schedule.ended("db", End::Failed, seconds(1), 0.5);
    assert_eq!(schedule.start(seconds(2)), None);
    assert_eq!(schedule.waiting(seconds(2)), [("web", "db")]);
    assert_eq!(schedule.next(), Some(seconds(11)));
    assert_eq!(schedule.start(seconds(11)).as_deref(), Some("db"));
    schedule.ended("db", End::Well, seconds(12), 0.5);
    assert_eq!(schedule.start(seconds(12)).as_deref(), Some("web"));
}

#[test]
fn pauses_grow_with_failures_until_something_changes_or_it_is_well() {
    let mut schedule = Schedule::new(INTERVAL, 9);
    let all = environments(&[("a", &[])]);
    schedule.renew(&all, seconds(0));
    let clock = std::cell::Cell::new(seconds(0));
    let run = |schedule: &mut Schedule, end| {
        assert_eq!(schedule.start(clock.get()).as_deref(), Some("a"));
        let pause = schedule.ended("a", end, clock.get(), 0.5).expect("it is there");
        clock.set(clock.get() + pause);
        pause.as_secs()
    };
    let grown: Vec<u64> = (0..5).map(|_| run(&mut schedule, End::Failed)).collect();
    assert_eq!(grown, [10, 20, 40, 80, 160]);
    assert_eq!(run(&mut schedule, End::Well), 300);
    assert_eq!(run(&mut schedule, End::Failed), 10);
    assert_eq!(run(&mut schedule, End::Failed), 20);
    schedule.touch("a", clock.get());
    assert_eq!(run(&mut schedule, End::Failed), 10);
    assert_eq!(back_off(INTERVAL, 40), LONGEST_PAUSE);
    assert_eq!(back_off(seconds(3), 1), seconds(3));
    schedule.renew(&environments(&[]), clock.get());
    assert_eq!((schedule.start(clock.get()), schedule.next()), (None, None));
}

#[test]
fn an_environment_that_changes_during_its_pass_gets_another_at_once() {
    let mut schedule = Schedule::new(INTERVAL, 9);
    schedule.renew(&environments(&[("a", &[])]), seconds(0));
    schedule.start(seconds(0));
    schedule.touch("a", seconds(1));
    assert_eq!(schedule.start(seconds(1)), None);
    assert_eq!(schedule.ended("a", End::Failed, seconds(2), 0.5), Some(Duration::ZERO));
    assert_eq!(schedule.start(seconds(2)).as_deref(), Some("a"));
    // An environment that left the manifest during its pass is forgotten when the pass ends.
    schedule.renew(&environments(&[]), seconds(3));
    assert_eq!((schedule.running(), schedule.ended("a", End::Well, seconds(4), 0.5)), (1, None));
    assert_eq!((schedule.running(), schedule.next()), (0, None));
}

#[derive(Clone, Debug)]
enum Happens {
    Renew(u8),
    Touch(u8),
    Force,
    Wait(u16),
    Start,
    End(u8, u8, f64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        1 => any::<u8>().prop_map(Happens::Renew),
        2 => (0..4_u8).prop_map(Happens::Touch),
        1 => Just(Happens::Force),
        4 => (0..900_u16).prop_map(Happens::Wait),
        8 => Just(Happens::Start),
        8 => (0..4_u8, 0..3_u8, 0.0..=1.0_f64).prop_map(|(which, end, chance)| Happens::End(which, end, chance)),
    ]
}

/// `d` needs `c`, `c` needs `b`.
const NEEDS: [(&str, &[&str]); 4] = [("a", &[]), ("b", &[]), ("c", &["b"]), ("d", &["c"])];

proptest! {
    #[test]
    fn none_runs_twice_at_once_or_before_it_is_due_or_before_what_it_needs(
        story in prop::collection::vec(happens(), 0..200), parallel in 1..4_usize,
    ) {
        let mut schedule = Schedule::new(INTERVAL, parallel);
        let mut now = seconds(0);
        let mut running = BTreeSet::new();
        // The earliest start of each environment, and those that ended well with no pass requested since.
        let (mut earliest, mut well) = (BTreeMap::<String, Duration>::new(), BTreeSet::<String>::new());
        for happens in story {
            match happens {
                Happens::Renew(chosen) => {
                    // The prefix keeps each dependency together with its dependents.
                    let kept: Vec<_> = NEEDS.into_iter().take(usize::from(chosen) % 5).collect();
                    schedule.renew(&environments(&kept), now);
                    for (name, _) in kept {
                        earliest.insert(name.to_owned(), now);
                        well.remove(name);
                    }
                }
                Happens::Touch(which) => {
                    let name = NEEDS[usize::from(which)].0;
                    schedule.touch(name, now);
                    earliest.insert(name.to_owned(), now);
                    well.remove(name);
                }
                Happens::Force => {
                    schedule.force(now);
                    earliest = earliest.into_iter().map(|(name, at)| (name, now.min(at))).collect();
                }
                Happens::Wait(length) => now += seconds(u64::from(length)),
                Happens::Start => {
                    if let Some(name) = schedule.start(now) {
                        prop_assert!(running.insert(name.clone()), "{name} runs twice");
                        prop_assert!(earliest[&name] <= now, "{name} runs early");
                        let needs = NEEDS.iter().find(|(one, _)| *one == name).map(|(_, needs)| *needs).unwrap_or_default();
                        for need in needs {
                            prop_assert!(well.contains(*need) && !running.contains(*need), "{name} runs before {need}");
                        }
                        prop_assert!(running.len() <= parallel);
                    }
                }
                Happens::End(which, end, chance) => {
                    let name = NEEDS[usize::from(which)].0;
                    if !running.remove(name) {
                        continue;
                    }
                    let end = [End::Well, End::Held, End::Failed][usize::from(end)];
                    let Some(pause) = schedule.ended(name, end, now, chance) else { continue };
                    if pause.is_zero() {
                        continue;
                    }
                    prop_assert!(pause <= LONGEST_PAUSE.mul_f64(1.2));
                    if end != End::Failed {
                        prop_assert!(INTERVAL.mul_f64(0.8) <= pause && pause <= INTERVAL.mul_f64(1.2), "{pause:?}");
                    }
                    earliest.insert(name.to_owned(), now + pause);
                    if end == End::Well { well.insert(name.to_owned()) } else { well.remove(name) };
                }
            }
            prop_assert_eq!(schedule.running(), running.len());
        }
        // Without further events, each environment gets a pass.
        let mut seen = BTreeSet::new();
        for name in std::mem::take(&mut running) {
            schedule.ended(&name, End::Well, now, 0.5);
        }
        for _ in 0..50 {
            now += seconds(5000);
            while let Some(name) = schedule.start(now) {
                schedule.ended(&name, End::Well, now, 0.5);
                seen.insert(name);
            }
        }
        prop_assert_eq!(seen.len(), schedule.entries.len());
    }

    #[test]
    fn pauses_after_failures_never_shrink_and_jitter_stays_within_a_fifth(failures in 1..60_u32, chance in 0.0..=1.0_f64) {
        let (one, more) = (back_off(INTERVAL, failures), back_off(INTERVAL, failures + 1));
        prop_assert!(one <= more && more <= LONGEST_PAUSE);
        let spread = jittered(one, chance);
        prop_assert!(one.mul_f64(0.799) <= spread && spread <= one.mul_f64(1.201));
    }
}
