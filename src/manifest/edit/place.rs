//! Chooses the position and the style of a new entry. Does not check the result: the caller compares the meaning of
//! both texts.

use super::tree::{Kind, Node};

/// A replacement of bytes.
pub struct Splice {
    /// First replaced byte.
    pub start: usize,
    /// Byte after the last replaced byte.
    pub end: usize,
    /// Replacement text.
    pub text: String,
}

impl Splice {
    /// Returns `text` with the change.
    pub fn apply(&self, text: &str) -> Option<String> {
        Some(format!("{}{}{}", text.get(..self.start)?, self.text, text.get(self.end..)?))
    }
}

/// Adds an entry at the end of a mapping: `lines` writes the entry with an indentation, `braced` is the entry in flow
/// style.
pub fn into_mapping(text: &str, mapping: &Node, lines: impl Fn(usize) -> String, braced: &str) -> Option<Splice> {
    let Kind::Mapping { entries, braces } = &mapping.kind else { return None };
    match (entries.last(), braces) {
        (Some((key, value)), true) => Some(insert(key.end.max(value.end), format!(", {braced}"))),
        (None, _) => {
            let open = text.get(mapping.start..mapping.end)?.find('{')? + mapping.start;
            let closed = text.get(open + 1..mapping.end - 1).is_some_and(|inside| inside.trim().is_empty());
            closed.then(|| Splice { start: open, end: mapping.end, text: format!("{{ {braced} }}") })
        }
        (Some((key, value)), false) => {
            let at = below(text, key.end.max(value.end), key.column);
            let gap = if spaced(text, entries) { line_break(text) } else { "" };
            Some(insert(at, format!("{}{gap}{}", open_line(text, at), broken(text, &lines(key.column)))))
        }
    }
}

/// Adds lines below the key of an empty section.
pub fn after_colon(text: &str, key: &Node, lines: &str) -> Option<Splice> {
    let colon = key.end + text.get(key.end..)?.find(':')? + 1;
    let line = text.get(colon..)?.split('\n').next()?;
    let nothing = line.trim().is_empty() || line.trim_start().starts_with('#');
    let at = below(text, colon, key.column);
    nothing.then(|| insert(at, format!("{}{}", open_line(text, at), broken(text, lines))))
}

/// Adds lines below the key of a section that holds `{}`; the rest of the key's line stays.
pub fn instead_of_braces(text: &str, mapping: &Node, lines: &str) -> Option<Splice> {
    let Kind::Mapping { entries, braces: true } = &mapping.kind else { return None };
    let rest = text.get(mapping.end..)?.split('\n').next()?;
    let bare = text.get(mapping.start..mapping.end)? == "{}";
    let alone = rest.trim().is_empty() || rest.trim_start().starts_with('#');
    (entries.is_empty() && bare && alone).then(|| Splice {
        start: mapping.start,
        end: below(text, mapping.end, usize::MAX),
        text: format!("{}{}{}", rest.trim(), line_break(text), broken(text, lines)),
    })
}

/// Adds a whole `environments` section.
pub fn new_section(text: &str, root: &Node, lines: &str, braced: &str) -> Option<Splice> {
    match &root.kind {
        Kind::Mapping { braces: false, entries } => {
            let (first, _) = entries.first()?;
            let section = format!("environments:\n{lines}");
            let at = text.trim_end().len().max(root.end);
            let at = below(text, at, first.column);
            let gap = format!("{}{}", open_line(text, at), line_break(text));
            (first.column == 0).then(|| insert(at, format!("{gap}{}", broken(text, &section))))
        }
        Kind::Mapping { braces: true, .. } => into_mapping(text, root, |_| String::new(), braced),
        _ => None,
    }
}

fn insert(at: usize, text: String) -> Splice {
    Splice { start: at, end: at, text }
}

/// Returns the start of the line after `end` and after the comments that belong to the content before it: comments that
/// follow directly and are indented deeper than `column`.
fn below(text: &str, end: usize, column: usize) -> usize {
    let next = |at: usize| text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1);
    let mut at = if end > 0 && text[..end].ends_with('\n') { end } else { next(end) };
    while let Some(line) = text[at..].lines().next() {
        let comment = line.trim_start_matches(' ');
        if !comment.starts_with('#') || line.len() - comment.len() <= column {
            break;
        }
        at = next(at);
    }
    at
}

/// Returns a line break if the text before `at` does not end with one.
fn open_line(text: &str, at: usize) -> &'static str {
    if at == 0 || text[..at].ends_with('\n') { "" } else { line_break(text) }
}

/// Returns true if blank lines separate the mapping's entries.
fn spaced(text: &str, entries: &[(Node, Node)]) -> bool {
    let blank = |pair: &[(Node, Node)]| {
        let between = text.get(pair[0].1.end..pair[1].0.start).unwrap_or_default();
        between.lines().skip(1).any(|line| line.trim().is_empty() && line.len() < pair[1].0.column.max(1))
    };
    entries.len() > 1 && entries.windows(2).all(blank)
}

fn line_break(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn broken(text: &str, lines: &str) -> String {
    lines.replace('\n', line_break(text))
}
