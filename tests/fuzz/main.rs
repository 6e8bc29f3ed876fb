//! Fuzzing of every parser of foreign input: no panic, no hang over 5 seconds, no more than 256 MiB.
//!
//! ```text
//! cargo test --test fuzz -- [--seconds N] [--seed N] [NAME...]     all targets, or those whose name holds NAME
//! cargo test --test fuzz -- --replay NAME SEED NUMBER              one case again, as it was
//! ```
//!
//! A case is a pure function of its target, a seed and a number ([`cases`]), so three words name it. Each target runs in
//! a process of its own ([`worker`]), which may crash, hang or exceed its memory; this process counts what became of it.
//! First of all, targets with planted faults ([`planted`]) show that each kind of fault is noticed.

#![expect(clippy::disallowed_methods, reason = "the targets run in processes of their own")]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(clippy::print_stdout, clippy::exit, reason = "a program of its own, without the test harness")]

mod cases;
#[path = "../step/given.rs"]
mod given;
mod planted;
mod runner;
mod targets;
mod worker;

use runner::Tally;
use std::process::exit;
use std::time::Duration;

/// How many seconds a short run takes, divided among the targets.
const SECONDS: u64 = 30;
/// How long a planted fault is searched for.
const PLANTED: Duration = Duration::from_secs(20);

/// One parser, with what it usually reads.
#[derive(Clone)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Inputs that it accepts, which cases are made from.
    pub seeds: Vec<Vec<u8>>,
    /// Pieces of its language.
    pub tokens: Vec<String>,
    /// Parses an input and uses the result, as the program does.
    pub run: fn(&[u8]),
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--worker", name, seed, first, millis, last] => {
            let (seed, first, time) = (seed.parse().unwrap(), first.parse().unwrap(), millis.parse().unwrap());
            worker::run(named(name), seed, first, Duration::from_millis(time), last);
        }
        ["--replay", name, seed, number] => {
            let (target, seed, number) = (named(name), seed.parse().unwrap(), number.parse().unwrap());
            println!("{}", String::from_utf8_lossy(&cases::Cases::new(&target).case(seed, number)));
            worker::replay(&target, seed, number);
        }
        // Asked for by tools that list the tests of all targets.
        ["--list", ..] => {}
        _ => exit(i32::from(!all(&words))),
    }
}

fn named(name: &str) -> Target {
    let mut all = targets::all().into_iter().chain(planted::all());
    all.find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name}"))
}

/// Runs the targets; false where one has a fault, or a planted fault was not noticed.
fn all(words: &[&str]) -> bool {
    let number = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse::<u64>().ok()
    };
    let seconds = number("--seconds").or_else(|| std::env::var("DEPLOYER_FUZZ_SECONDS").ok()?.parse().ok());
    let seed = number("--seed").unwrap_or(1);
    let wanted: Vec<&str> = words.iter().copied().filter(|word| word.starts_with(char::is_alphabetic)).collect();
    let is_wanted = |target: &Target| wanted.is_empty() || wanted.iter().any(|name| target.name.contains(name));
    let targets: Vec<Target> = targets::all().into_iter().filter(is_wanted).collect();
    let share = Duration::from_secs(seconds.unwrap_or(SECONDS)) / u32::try_from(targets.len().max(1)).unwrap();
    println!(
        "seed {seed}, {} ms each; a fault again: cargo test --test fuzz -- --replay TARGET SEED NUMBER",
        share.as_millis()
    );
    let mut noticed = true;
    for target in planted::all() {
        let tally = runner::run(target.name, seed, PLANTED, 1);
        let kind = target.name.trim_start_matches("planted-");
        let caught = tally.faults.iter().any(|fault| fault.kind == kind);
        println!("planted {kind}: {}", if caught { "noticed" } else { "NOT NOTICED" });
        noticed &= caught;
    }
    println!(
        "{:<20} {:>9} {:>7} {:>6} {:>7} {:>20} {:>9}",
        "target", "cases", "panics", "hangs", "memory", "slowest case, number", "peak"
    );
    let mut whole = Tally::default();
    for target in &targets {
        let tally = runner::run(target.name, seed, share, 3);
        tally.show(target.name);
        whole.add(&tally);
    }
    whole.show("all");
    for fault in &whole.faults {
        println!("FAULT {} {} {} {}: {}", fault.kind, fault.target, seed, fault.number, fault.said);
    }
    // Read by tests/run.sh as the words of a test harness are.
    let good = noticed && whole.faults.is_empty();
    println!(
        "test result: {}. {} passed; {} failed; 0 ignored",
        if good { "ok" } else { "FAILED" },
        targets.len(),
        whole.faults.len() + usize::from(!noticed)
    );
    good
}
