//! Causes of packet loss on busy UDP trackers: a full conntrack table, and sockets that are not read fast enough. Does
//! not identify the lost packets.

use super::{Finding, after};
use crate::model::verdict::Judgement::{Failed, Passed, Skipped, Warned};
use std::collections::BTreeMap;

/// Percentage of the table above which the check warns.
const WARNED: u64 = 80;
/// Percentage of the table above which the check fails: the next burst loses packets.
const FAILED: u64 = 95;

pub(super) fn conntrack(lines: &[Vec<&str>]) -> Finding {
    let read = |words: &[&str]| Some((words.first()?.parse::<u64>().ok()?, words.get(1)?.parse::<u64>().ok()?));
    let Some((count, most)) = after(lines, "conntrack").find_map(read).filter(|(_, most)| *most > 0) else {
        return Finding::new("conntrack", Skipped, "the host does not track connections");
    };
    let percent = count.saturating_mul(100) / most;
    let judgement = match percent {
        percent if percent > FAILED => Failed,
        percent if percent > WARNED => Warned,
        _ => Passed,
    };
    Finding::new("conntrack", judgement, format!("{count} of {most} entries, {percent} %"))
}

/// Returns the number of datagrams lost because a socket's buffer was full, since each network namespace was created.
pub(super) fn datagrams(lines: &[Vec<&str>]) -> Vec<Finding> {
    let mut lost: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut names: Option<(&str, &str)> = None;
    for words in after(lines, "udp4") {
        let [place, text] = words else { continue };
        // The kernel prints a line of names and then a line of numbers.
        match names.take().filter(|(of, _)| of == place) {
            Some((_, header)) => {
                let number = header.split(' ').zip(text.split(' ')).find(|(name, _)| *name == "RcvbufErrors");
                if let Some(number) = number.and_then(|(_, number)| number.parse().ok()) {
                    lost.entry(place).or_default().insert("IPv4", number);
                }
            }
            None => names = Some((place, text)),
        }
    }
    for words in after(lines, "udp6") {
        let [place, number] = words else { continue };
        if let Ok(number) = number.parse() {
            lost.entry(place).or_default().insert("IPv6", number);
        }
    }
    lost.into_iter().map(|(place, lost)| dropped(place, &lost)).collect()
}

fn dropped(place: &str, lost: &BTreeMap<&str, u64>) -> Finding {
    let name = format!("UDP drops in {place}");
    if lost.values().all(|number| *number == 0) {
        return Finding::new(name, Passed, "none");
    }
    let numbers: Vec<String> = lost.iter().map(|(family, number)| format!("{number} over {family}")).collect();
    Finding::new(name, Warned, format!("{} datagrams lost, full buffers: raise net.core.rmem_max", numbers.join(", ")))
}
