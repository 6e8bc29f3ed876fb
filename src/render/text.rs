//! Small pieces of text: shortened, timed, indented.

use crate::model::defuse;
use crate::model::event::Action;
use std::time::Duration;

/// The reason why files of a plan are not compared.
pub(super) const UNCOMPARED: &str =
    "because they are secret, need a value that was not read, or differ from the commit";

/// The number of characters to which digests and keys are cut.
const DIGEST: usize = 12;

/// Returns one fact's value on one line: escaped, with digests shortened and long values cut.
pub(super) fn value(text: &str) -> String {
    const LONGEST: usize = 160;
    let line = defuse::line(text);
    let mut out = String::with_capacity(line.len());
    let mut run = String::new();
    for c in line.chars().chain([' ']) {
        if c.is_ascii_hexdigit() {
            run.push(c);
            continue;
        }
        if run.len() >= 32 {
            run.truncate(DIGEST);
            run.push('…');
        }
        out.push_str(&run);
        run.clear();
        out.push(c);
    }
    out.pop();
    match out.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &out[..at]),
        None => out,
    }
}

/// Returns `0.4 s`, `12.3 s`, `2 min 05 s`, `3 h 20 min` or `5 days`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        86_400..172_800 => "1 day".to_owned(),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Returns `512 B`, `1.5 KiB` or `20.0 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = None;
    let (mut whole, mut tenths) = (bytes, 0);
    for name in UNITS {
        if whole < 1024 {
            break;
        }
        (whole, tenths, unit) = (whole / 1024, whole % 1024 * 10 / 1024, Some(name));
    }
    unit.map_or_else(|| format!("{whole} B"), |unit| format!("{whole}.{tenths} {unit}"))
}

/// Returns the word for an action.
pub(super) const fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Replace => "replace",
        Action::Remove => "remove",
    }
}

/// Indents every line that is not empty.
pub(super) fn indent(text: &str, by: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', by));
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_shortened() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(value(&format!("sha256:{digest} 0644")), "sha256:0123456789ab… 0644");
        assert_eq!(value("26.1.5 added"), "26.1.5 added");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!([size(0), size(1023), size(1536), size(20 << 20)], ["0 B", "1023 B", "1.5 KiB", "20.0 MiB"]);
    }

    #[test]
    fn durations_read_well() {
        let of = |ms| duration(Duration::from_millis(ms));
        assert_eq!([of(0), of(12_345), of(125_000), of(12_000_000)], ["0.0 s", "12.3 s", "2 min 05 s", "3 h 20 min"]);
    }
}
