//! Runs a target in separate processes until its time is over, and counts the results of its cases.

use crate::worker::{HUNG, PROGRESS};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A fault that a case caused.
#[derive(Clone)]
pub struct Fault {
    pub target: String,
    /// `panic`, `hang`, `memory`, `stack` or `crash`.
    pub kind: &'static str,
    pub number: u64,
    pub said: String,
}

/// The results of the cases of one target, or of all.
#[derive(Clone, Default)]
pub struct Tally {
    pub cases: u64,
    /// The longest time of a case, and its number.
    pub slowest: (Duration, u64),
    /// The peak memory of any process, in KiB.
    pub peak: u64,
    pub faults: Vec<Fault>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.slowest = self.slowest.max(other.slowest);
        self.peak = self.peak.max(other.peak);
        self.faults.extend(other.faults.iter().cloned());
    }

    pub fn show(&self, name: &str) {
        let count = |kinds: &[&str]| self.faults.iter().filter(|fault| kinds.contains(&fault.kind)).count();
        println!(
            "{name:<20} {:>9} {:>7} {:>6} {:>7} {:>7} ms, {:>8} {:>5} MiB",
            self.cases,
            count(&["panic", "stack", "crash"]),
            count(&["hang"]),
            count(&["memory"]),
            self.slowest.0.as_millis(),
            self.slowest.1,
            self.peak.div_ceil(1024)
        );
    }
}

/// Runs a target until its time is over or it has `most_faults` faults.
pub fn run(name: &str, seed: u64, time: Duration, most_faults: usize) -> Tally {
    let mut tally = Tally::default();
    let (begin, mut next) = (Instant::now(), Some(0));
    while let Some(first) = next.filter(|_| tally.faults.len() < most_faults) {
        let left = time.saturating_sub(begin.elapsed());
        next = if left > Duration::ZERO { process(name, seed, first, left, &mut tally) } else { None };
    }
    tally
}

/// Runs one process starting at the case `first`, and returns the next case if the process did not end by itself.
fn process(name: &str, seed: u64, first: u64, time: Duration, tally: &mut Tally) -> Option<u64> {
    let last = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--worker", name, &seed.to_string(), &first.to_string(), &time.as_millis().to_string()])
        .arg(last.path())
        // Each additional arena of the allocator reserves address space, which is the limited resource of the process.
        .env("MALLOC_ARENA_MAX", "1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = std::fs::read(last.path()).unwrap().try_into().map_or(first, u64::from_le_bytes);
    let mut over = false;
    for line in said.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = number.parse().unwrap_or_default();
        match word {
            "panic" => tally.faults.push(fault(name, "panic", number, rest)),
            "hang" => tally.faults.push(fault(name, "hang", number, rest)),
            PROGRESS => {
                let (case, peak) = rest.split_once(' ').unwrap_or_default();
                let slowest = (Duration::from_micros(number), case.parse().unwrap_or_default());
                tally.slowest = tally.slowest.max(slowest);
                tally.peak = tally.peak.max(peak.parse().unwrap_or_default());
            }
            word => over |= word == "over",
        }
    }
    tally.cases += (last + 1).saturating_sub(first);
    if over {
        return None;
    }
    if output.status.code() != Some(HUNG) {
        let kind = match errors.as_ref() {
            said if said.contains("memory allocation of") => "memory",
            said if said.contains("overflowed its stack") => "stack",
            _ => "crash",
        };
        let said = errors.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        tally.faults.push(fault(name, kind, last, said));
    }
    Some(last + 1)
}

fn fault(target: &str, kind: &'static str, number: u64, said: &str) -> Fault {
    Fault { target: target.to_owned(), kind, number, said: said.chars().take(300).collect() }
}
