//! The usage of file systems. Counts each file system once.

use super::{Finding, after};
use crate::model::verdict::Judgement::{Failed, Passed, Skipped, Warned};
use std::collections::BTreeMap;

/// Used percentage above which the check warns.
const WARNED: u64 = 85;
/// Used percentage above which the check fails: databases stop.
const FAILED: u64 = 95;

pub(super) fn judge(lines: &[Vec<&str>]) -> Vec<Finding> {
    let disks: BTreeMap<&str, (u64, u64)> = after(lines, "disk").filter_map(|words| read(words.first()?)).collect();
    if disks.is_empty() {
        return vec![Finding::new("disk", Skipped, "the host does not report the usage of its disks")];
    }
    let finding = |(mount, (percent, free)): (&str, (u64, u64))| {
        let judgement = match percent {
            percent if percent > FAILED => Failed,
            percent if percent > WARNED => Warned,
            _ => Passed,
        };
        // Kibibytes to tenths of a gibibyte.
        let tenths = free.saturating_mul(10) / (1 << 20);
        Finding::new(
            format!("disk {mount}"),
            judgement,
            format!("{percent} % used, {}.{} GiB free", tenths / 10, tenths % 10),
        )
    };
    disks.into_iter().map(finding).collect()
}

/// Parses a line of `df -Pk`: FILESYSTEM KIBIBYTES USED FREE PERCENT MOUNT. FILESYSTEM and MOUNT may contain blanks.
fn read(line: &str) -> Option<(&str, (u64, u64))> {
    let (before, rest) = line.split_once("% ")?;
    let mut words = before.split_whitespace().rev();
    let (percent, free) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((rest.trim(), (percent, free)))
}
