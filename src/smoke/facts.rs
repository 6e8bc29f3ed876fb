//! What a host knows of itself: one script, and what its lines mean. Never runs the script, and never asks for the
//! time.

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

/// What of a host is to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The Compose projects whose containers must be well.
    pub projects: BTreeSet<String>,
    /// The directory that holds the application.
    pub directory: String,
}

/// When the script was sent and when its answer was there, by this machine's clock: the host's clock was read in
/// between, so that a slow connection is no wrong clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// Before it was sent.
    pub sent: Timestamp,
    /// After it was heard.
    pub heard: Timestamp,
}

/// POSIX shell, to be run as root, that prints what [`verdicts`] reads. Takes a second or two, more for many containers.
#[must_use]
pub fn script(subject: &Subject) -> String {
    let mut script = include_str!("facts/probe.sh").to_owned();
    let _ = writeln!(script, "disk {}", quote(&subject.directory));
    for project in &subject.projects {
        let _ = writeln!(script, "containers {}", quote(project));
    }
    // The last command's exit code says nothing.
    script + "true\n"
}

/// What the script's output means. Lines that it does not know are left out: hosts are noisy.
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

/// A verdict but for what all of them share.
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

/// The words after `word` of each line that begins with it.
fn after<'a>(lines: &'a [Vec<&'a str>], word: &'a str) -> impl Iterator<Item = &'a [&'a str]> {
    lines.iter().filter_map(move |line| line.split_first().filter(|(first, _)| **first == word).map(|(_, rest)| rest))
}
