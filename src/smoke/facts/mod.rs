//! A host's own health: the script that reads it, and the verdicts from the script's output. Does not run the script
//! and does not read the clock.

mod clock;
mod containers;
mod disk;
mod network;

use super::{Judgement, Vantage, Verdict};
use crate::model::shell::quote;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// The parts of a host to check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Compose projects whose containers must be healthy.
    pub projects: BTreeSet<String>,
    /// Directory of the application.
    pub directory: String,
}

/// The times before sending the script and after receiving its output, by this machine's clock. The host's clock was
/// read in between, so a slow connection does not count as a clock difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// Time before the script was sent.
    pub sent: Timestamp,
    /// Time after its output was received.
    pub heard: Timestamp,
}

/// Returns a POSIX shell script, to be run as root, whose output [`verdicts`] reads. The script takes a second or two,
/// or more for many containers.
#[must_use]
pub fn script(subject: &Subject) -> String {
    let mut script = include_str!("probe.sh").to_owned();
    let _ = writeln!(script, "disk {}", quote(&subject.directory));
    for project in &subject.projects {
        let _ = writeln!(script, "containers {}", quote(project));
    }
    // Ignore the exit code of the last command.
    script + "true\n"
}

/// Returns the verdicts from the script's output. Ignores unknown lines, because hosts print noise.
#[must_use]
pub fn verdicts(output: &str, subject: &Subject, between: Between) -> Vec<Verdict> {
    let lines: Vec<Vec<&str>> = output.lines().map(|line| line.split('\t').collect()).collect();
    let took = Duration::try_from(between.heard.duration_since(between.sent)).unwrap_or_default();
    let findings = [
        containers::judge(&lines, &subject.projects),
        disk::judge(&lines),
        vec![clock::judge(&lines, between)],
        vec![network::conntrack(&lines)],
        network::datagrams(&lines),
    ];
    let verdict =
        |Finding { name, judgement, detail }| Verdict { name, vantage: Vantage::Inside, judgement, detail, took };
    findings.into_iter().flatten().map(verdict).collect()
}

/// A verdict without the fields that all verdicts share.
struct Finding {
    name: String,
    judgement: Judgement,
    detail: String,
}

impl Finding {
    fn new(name: impl Into<String>, judgement: Judgement, detail: impl Into<String>) -> Self {
        Self { name: name.into(), judgement, detail: detail.into() }
    }
}

/// Returns the words after `word` of each line that begins with `word`.
fn after<'a>(lines: &'a [Vec<&'a str>], word: &'a str) -> impl Iterator<Item = &'a [&'a str]> {
    lines.iter().filter_map(move |line| line.split_first().filter(|(first, _)| **first == word).map(|(_, rest)| rest))
}
