//! Small pieces of text: values, durations, sizes, indentation.

use crate::model::defuse;
use crate::model::event::{Action, Stays, Unchanged};
use std::collections::BTreeSet;
use std::time::Duration;

/// The reason why files of a plan are not compared.
pub(super) const UNCOMPARED: &str =
    "because they are secret, need a value that was not read, or differ from the commit";

/// Returns the sentence about an environment that a plan leaves as it is.
pub(super) fn unchanged(one: &Unchanged) -> String {
    let name = defuse::line(&one.environment);
    let release =
        one.release.as_deref().map_or_else(|| "its release".to_owned(), |id| format!("release {}", defuse::line(id)));
    match one.why {
        Stays::RolledBack => format!(
            "{name} stays at {release}, to which it was rolled back. To apply the manifest again: deployer apply {name} \
             --retry"
        ),
        Stays::AlreadyLive => format!("{name} is already at {release}"),
        Stays::Absent => format!("{name} is not on its host: there is nothing to destroy"),
        Stays::DataKept => format!(
            "{name} is not on its host, but its data was kept. To delete the data: deployer destroy {name} --purge"
        ),
        Stays::ImagesUnknown => format!("{name} has images that could not be compared with their registry"),
    }
}

/// The number of characters to which digests and keys are cut.
const DIGEST: usize = 12;

/// The least length of what counts as a digest or a key.
const LONG: usize = 32;

/// The number of unchanged characters around a change that are shown, and the least number that is left out.
const AROUND: usize = 40;

/// Returns one fact's value on one line: escaped, with digests shortened.
pub(super) fn value(text: &str) -> String {
    let line = defuse::line(text);
    if is_text(&line) { line } else { shortened(&line) }
}

/// Returns both values of a fact that changes, each on one line, as [`value`]. Long equal parts before and after the
/// difference become `[…]`.
pub(super) fn change(from: &str, to: &str) -> (String, String) {
    let lines = [defuse::line(from), defuse::line(to)];
    let is_plain = lines.iter().any(|line| is_text(line)) || alike(&lines);
    let [from, to] = if is_plain { lines } else { lines.map(|line| shortened(&line)) };
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let equal = |pairs: &mut dyn Iterator<Item = (&char, &char)>| pairs.take_while(|(one, other)| one == other).count();
    let before = equal(&mut from.iter().zip(&to));
    let after = equal(&mut from[before..].iter().rev().zip(to[before..].iter().rev()));
    let clip = |text: &[char]| {
        let begin = if before > 2 * AROUND { before - AROUND } else { 0 };
        let end = if after > 2 * AROUND { text.len() - after + AROUND } else { text.len() };
        let middle: String = text[begin..end].iter().collect();
        let [head, tail] = [begin > 0, end < text.len()].map(|is_left_out| if is_left_out { "[…]" } else { "" });
        format!("{head}{middle}{tail}")
    };
    (clip(&from), clip(&to))
}

/// Returns true for JSON and other text of a manifest, where digits may be anything.
fn is_text(line: &str) -> bool {
    line.contains('"')
}

/// Returns true if two different digests in the lines have the same beginning.
fn alike(lines: &[String]) -> bool {
    let digests: BTreeSet<&str> = lines.iter().flat_map(|line| runs(line)).filter(|run| run.len() >= LONG).collect();
    let beginnings: BTreeSet<&str> = digests.iter().map(|digest| &digest[..DIGEST]).collect();
    beginnings.len() < digests.len()
}

/// Splits a line at everything that is no hexadecimal digit.
fn runs(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_hexdigit())
}

fn shortened(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    for run in runs(line) {
        let (head, others) = rest.split_at(run.len());
        if run.len() >= LONG {
            out.push_str(&head[..DIGEST]);
            out.push('…');
        } else {
            out.push_str(head);
        }
        let mut others = others.chars();
        out.extend(others.next());
        rest = others.as_str();
    }
    out
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
    fn the_whole_difference_of_two_values_is_shown() {
        let both = |from: &str, to: &str| {
            let (from, to) = change(from, to);
            format!("{from} → {to}")
        };
        assert_eq!(both("0644 sha256:1", "0755 sha256:1"), "0644 sha256:1 → 0755 sha256:1");
        let long = "x".repeat(500);
        let around = "x".repeat(AROUND);
        assert_eq!(
            both(&format!("{long}A{long}"), &format!("{long}B; curl{long}")),
            format!("[…]{around}A{around}[…] → […]{around}B; curl{around}[…]")
        );
        // Both a character in front and the end differ.
        let (from, to) = change(&format!("1{long}"), &format!("2{long}; curl"));
        assert_eq!((from, to), (format!("1{long}"), format!("2{long}; curl")));
        // A repetition is no unchanged end of both values.
        assert_eq!(both(&"ab".repeat(200), &"ab".repeat(201)).matches("ab").count(), 20 + 21);
        let digest = |end: &str| format!("0123456789ab{}{end}", "0".repeat(51));
        assert_eq!(both(&format!("0644 {}", digest("1")), &format!("0755 {}", digest("2"))).matches('…').count(), 0);
        // Code in a manifest may be written as digits.
        let code = "6375726c".repeat(8);
        assert_eq!(value(&format!("[\"sh\",\"{code}\"]")), format!("[\"sh\",\"{code}\"]"));
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
