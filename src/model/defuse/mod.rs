//! Rewrites foreign text so that a terminal or a log service treats all of it as text.
//!
//! Three kinds of readers interpret special sequences:
//! - terminals act on control characters, and reorder text by bidi controls;
//! - workflow runners take a line that begins with `::` after blanks as a command, and `##[name]` (Azure:
//!   `##vso[name]`) anywhere in a line; GitHub's runner ends a line at LF, CR LF and a lone CR;
//! - GitLab takes `section_start:TIME:NAME` as the beginning of a collapsible section.

use std::borrow::Cow;

/// Escapes every character that could move the cursor, change colours, hide text or reorder text. Keeps line breaks and
/// tabs. CR LF becomes LF.
pub(crate) fn controls(foreign: &str) -> Cow<'_, str> {
    rewrite(foreign, |_| None)
}

/// Escapes the same characters in a part of one line, and also line breaks and tabs.
pub(crate) fn line(foreign: &str) -> String {
    controls(foreign).replace('\n', "\\n").replace('\t', "\\t")
}

/// Escapes the same characters as [`controls`] in the output of a service, and removes its colours.
pub(crate) fn said(foreign: &str) -> Cow<'_, str> {
    rewrite(foreign, |_| Some(""))
}

/// Returns a foreign text made safe for readers of plain text.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    whole(text, false)
}

/// Makes a whole text safe for every reader. The only control sequences that remain are deployer's own styles, if
/// `styled`.
pub(crate) fn whole(text: &str, styled: bool) -> String {
    let text = rewrite(text, |style| (styled && is_ours(style)).then_some(style));
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        commands(line, &mut out);
    }
    out
}

/// Returns true if a character acts on its reader instead of being read. Joiners and variation selectors, which emoji
/// and some scripts need, count as active only after ASCII, where their only effect is to hide text.
pub(crate) fn is_active(c: char, before: char) -> bool {
    if is_joiner(c) {
        return before.is_ascii();
    }
    // Soft hyphens, fillers, direction marks, line separators, invisible operators, tags.
    let invisible = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    invisible || (c.is_control() && !matches!(c, '\n' | '\t'))
}

/// Returns the text that a reader sees once control sequences and active characters are gone, with the position of each
/// of its bytes in the original. Returns `None` if that is the whole text.
pub(crate) fn visible(text: &str) -> Option<(String, Vec<usize>)> {
    if !has_active(text) {
        return None;
    }
    let (mut seen, mut places, mut before) = (String::new(), Vec::new(), '\n');
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = control_sequence(rest).unwrap_or(c.len_utf8());
        if length == c.len_utf8() && !is_active(c, before) {
            let at = text.len() - rest.len();
            places.extend(at..at + length);
            seen.push(c);
            before = c;
        }
        rest = &rest[length..];
    }
    Some((seen, places))
}

/// Returns the length of the control sequence (`ESC [ … final byte`, ECMA-48 section 5.4) at the start of a text.
fn control_sequence(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\u{1b}[")?;
    let parameters = inside.find(|c: char| !matches!(c, ' '..='?'))?;
    inside[parameters..].starts_with(|c: char| matches!(c, '@'..='~')).then_some(2 + parameters + 1)
}

fn has_active(text: &str) -> bool {
    let mut before = '\n';
    text.contains(|c: char| is_active(c, std::mem::replace(&mut before, c)))
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Escapes active characters. `style` returns the replacement for a sequence `ESC [ … m`, or `None` to escape the
/// sequence as well.
fn rewrite<'t>(text: &'t str, style: impl Fn(&'t str) -> Option<&'t str>) -> Cow<'t, str> {
    if !has_active(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let (mut rest, mut before) = (text, '\n');
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if let Some((sequence, after)) = sequence(rest)
            && let Some(instead) = style(sequence)
        {
            out.push_str(instead);
            rest = after;
            continue;
        }
        if c == '\r' {
            // CR before a line break or at the end is a line ending of another system.
            let beyond = after.trim_start_matches('\r');
            if !(beyond.is_empty() || beyond.starts_with('\n')) {
                out.push_str(&"\\r".repeat(rest.len() - beyond.len()));
            }
            (rest, before) = (beyond, c);
            continue;
        }
        if is_active(c, before) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        (rest, before) = (after, out.chars().next_back().unwrap_or(c));
    }
    Cow::Owned(out)
}

/// Returns the sequence `ESC [ … m` at the start of a text, and the text after it.
fn sequence(text: &str) -> Option<(&str, &str)> {
    let (sequence, after) = text.split_at(control_sequence(text)?);
    let parameters = sequence[2..].strip_suffix('m')?;
    parameters.bytes().all(|c| c.is_ascii_digit() || c == b';').then_some((sequence, after))
}

/// Returns true if a sequence is one of deployer's own styles: bold, dim, underlined or a text colour, but no colour
/// that hides text and no background.
fn is_ours(sequence: &str) -> bool {
    let parameters = sequence.trim_start_matches("\u{1b}[").trim_end_matches('m');
    if let Some(color) = parameters.strip_prefix("38;5;") {
        return color.parse().is_ok_and(|color: u8| (1..16).contains(&color));
    }
    let is_style = |number: &str| {
        matches!(number.parse(), Ok(0 | 1 | 2 | 3 | 4 | 22 | 23 | 24 | 31..=37 | 39 | 90..=97_u8)) || number.is_empty()
    };
    parameters.split(';').all(is_style)
}

/// Writes one line so that no runner finds a command in it, even if its log is kept without deployer's styles.
fn commands(line: &str, out: &mut String) {
    let rest = skip(line, |c| c.is_whitespace() || is_joiner(c));
    let (blank, mut rest) = line.split_at(line.len() - rest.len());
    out.push_str(blank);
    if pair(rest, ':').is_some() {
        out.push('\\');
    }
    while let Some(at) = rest.find(['#', 's']) {
        let mark = mark(&rest[at..]);
        let (now, later) = rest.split_at(at + mark.unwrap_or(1));
        out.push_str(now);
        if mark.is_some() {
            out.push('\\');
        }
        rest = later;
    }
    out.push_str(rest);
}

/// Returns the length of a mark at the start of a text that a reader looks for anywhere in a line.
fn mark(text: &str) -> Option<usize> {
    if let Some(name) = pair(text, '#') {
        return skip(name, |c| c.is_ascii_alphanumeric()).starts_with('[').then(|| text.len() - name.len());
    }
    let mark = ["section_start", "section_end"].into_iter().find(|mark| text.starts_with(mark))?;
    let time = text[mark.len()..].strip_prefix(':')?;
    time.starts_with(|c: char| c.is_ascii_digit()).then_some(mark.len())
}

/// Returns the rest of a text that begins with the same character twice.
fn pair(text: &str, c: char) -> Option<&str> {
    skip(text.strip_prefix(c)?, |_| false).strip_prefix(c)
}

/// Returns the text without the styles and the `skipped` characters at its start.
fn skip(text: &str, skipped: impl Fn(char) -> bool) -> &str {
    let mut rest = text.trim_start_matches(&skipped);
    while let Some((_, after)) = sequence(rest) {
        rest = after.trim_start_matches(&skipped);
    }
    rest
}

#[cfg(test)]
mod tests;
