//! The difference between the host's clock and this machine's. Connection time does not count as a difference.

use super::{Between, Finding, after};
use crate::model::verdict::Judgement::{Failed, Passed, Skipped, Warned};

/// Difference in seconds above which the check warns: it impairs TLS and logs.
const WARNED: f64 = 2.0;
/// Difference in seconds above which the check fails: it breaks certificates, tokens and peers' leases.
const FAILED: f64 = 30.0;

pub(super) fn judge(lines: &[Vec<&str>], between: Between) -> Finding {
    let name = "clock";
    let Some((earliest, latest)) = after(lines, "clock").find_map(|words| read(words.first()?)) else {
        return Finding::new(name, Skipped, "the host does not give its time");
    };
    let (sent, heard) = (between.sent.as_duration().as_secs_f64(), between.heard.as_duration().as_secs_f64());
    // The smallest difference that is consistent with the host's clock and these two times.
    let (ahead, behind) = (earliest - heard, sent - latest);
    let (seconds, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let judgement = if seconds > FAILED {
        Failed
    } else if seconds > WARNED {
        Warned
    } else {
        return Finding::new(name, Passed, "as this machine's");
    };
    Finding::new(name, judgement, format!("{seconds:.1} s {word} this machine's"))
}

/// Returns the earliest and the latest time in seconds since 1970. A `date` without `%N` prints whole seconds.
fn read(word: &str) -> Option<(f64, f64)> {
    let (whole, part) = word.split_once('.')?;
    let whole: u32 = whole.parse().ok()?;
    let part =
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("0.{part}").parse::<f64>().ok()).flatten();
    let from = f64::from(whole) + part.unwrap_or(0.0);
    Some((from, if part.is_some() { from } else { from + 1.0 }))
}
