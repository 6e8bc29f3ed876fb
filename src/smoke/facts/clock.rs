//! The host's clock against this machine's. Never takes the time of the connection for a difference.

use super::{Between, Finding, after};
use crate::model::verdict::Judgement::{Failed, Passed, Skipped, Warned};

/// Seconds from which a difference is worth a look: TLS and logs suffer.
const WARNED: f64 = 2.0;
/// Seconds from which certificates, tokens and leases of peers go wrong.
const FAILED: f64 = 30.0;

pub(super) fn judge(lines: &[Vec<&str>], between: Between) -> Finding {
    let name = "clock";
    let Some((earliest, latest)) = after(lines, "clock").find_map(|words| read(words.first()?)) else {
        return Finding::new(name, Skipped, "the host does not tell its time");
    };
    let (sent, heard) = (between.sent.as_duration().as_secs_f64(), between.heard.as_duration().as_secs_f64());
    // The least difference that explains what was read, between those two moments.
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

/// Seconds since 1970, from and to: a `date` without `%N` tells whole ones.
fn read(word: &str) -> Option<(f64, f64)> {
    let (whole, part) = word.split_once('.')?;
    let whole: u32 = whole.parse().ok()?;
    let part =
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("0.{part}").parse::<f64>().ok()).flatten();
    let from = f64::from(whole) + part.unwrap_or(0.0);
    Some((from, if part.is_some() { from } else { from + 1.0 }))
}
