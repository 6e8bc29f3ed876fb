//! Small pieces of text: escaped, shortened, timed. Never lets a host or a manifest drive the terminal.

use crate::event::Action;
use std::borrow::Cow;
use std::time::Duration;

/// Digests and keys are cut to this many characters.
const DIGEST: usize = 12;

/// Escapes everything that could move the cursor, change colours or reorder text; keeps line breaks
/// and tabs.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_active) {
        Cow::Owned(text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
            if is_active(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
            out
        }))
    } else {
        Cow::Borrowed(text)
    }
}

/// The same, with line breaks and tabs escaped too.
pub(super) fn clean_line(text: &str) -> String {
    clean(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// The same as `clean`, but colours (`ESC [ … m`) stay: for the output of `logs` at a terminal.
pub(super) fn clean_but_colors(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(at);
        out.push_str(&clean(before));
        let end = sequence[2..].find(|c: char| !c.is_ascii_digit() && c != ';').map_or(sequence.len(), |end| end + 2);
        if sequence[end..].starts_with('m') {
            out.push_str(&sequence[..=end]);
            rest = &sequence[end + 1..];
        } else {
            out.push_str("\\u{1b}[");
            rest = &sequence[2..];
        }
    }
    out.push_str(&clean(rest));
    out
}

fn is_active(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || reorders
}

/// One fact's value on one line: escaped, digests shortened, long values cut.
pub(super) fn value(text: &str) -> String {
    const LONGEST: usize = 160;
    let line = clean_line(text);
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

/// `0.4 s`, `12.3 s`, `2 min 05 s`, `3 h 20 min`, `5 days`.
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

/// `512 B`, `1.5 KiB`, `20.0 MiB`.
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

/// What an action is called.
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
    fn nothing_that_drives_a_terminal_gets_through() {
        assert_eq!(clean("a\u{1b}]0;title\u{7}b\r\u{9b}31m\tc\nd"), "a\\u{1b}]0;title\\u{7}b\\r\\u{9b}31m\tc\nd");
        assert_eq!(clean("safe\u{202e}exe.txt"), "safe\\u{202e}exe.txt");
        assert_eq!(clean("Grüße, 世界"), "Grüße, 世界");
        assert_eq!(clean_line("a\nb"), "a\\nb");
    }

    #[test]
    fn colors_of_logs_stay_and_nothing_else() {
        assert_eq!(
            clean_but_colors("\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J \u{1b}["),
            "\u{1b}[1;31mred\u{1b}[0m \\u{1b}[2J \\u{1b}["
        );
    }

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
