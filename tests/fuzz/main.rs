//! Fuzzing of every parser of foreign input: no panic, no hang over 5 seconds, no more than 256 MiB.
//!
//! ```text
//! cargo test --test fuzz -- [--seconds N] [--seed N] [NAME...]     all targets, or those whose name contains NAME
//! cargo test --test fuzz -- --replay NAME SEED NUMBER              one case again, unchanged
//! ```
//!
//! A case is a pure function of its target, a seed and a number ([`cases`]), so these three words identify it. Each
//! target runs in a separate process ([`worker`]), which may crash, hang or exceed its memory; this process counts the
//! results. Before that, targets with planted faults ([`planted`]) show that each kind of fault is detected.

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

/// The duration of a short run in seconds, divided among the targets.
const SECONDS: u64 = 30;
/// The time limit of the search for a planted fault.
const PLANTED: Duration = Duration::from_secs(20);

/// A parser, with typical inputs.
#[derive(Clone)]
pub struct Target {
    /// The target's name.
    pub name: &'static str,
    /// Inputs that the parser accepts, from which cases are made.
    pub seeds: Vec<Vec<u8>>,
    /// Tokens of the parser's language.
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
        // Tools that list the tests of all targets pass this argument.
        ["--list", ..] => {}
        _ => exit(i32::from(!all(&words))),
    }
}

fn named(name: &str) -> Target {
    let mut all = targets::all().into_iter().chain(planted::all());
    all.find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name}"))
}

/// Runs the targets, and returns false if one has a fault or a planted fault was not detected.
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
    // tests/run.sh reads this line like the summary of a test harness.
    let good = noticed && whole.faults.is_empty();
    println!(
        "test result: {}. {} passed; {} failed; 0 ignored",
        if good { "ok" } else { "FAILED" },
        targets.len(),
        whole.faults.len() + usize::from(!noticed)
    );
    good
}
