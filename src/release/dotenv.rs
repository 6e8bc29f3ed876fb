//! Parses the `.env` file with the rules of Docker Compose, and merges it with the manifest's variables. Interpolates
//! nothing and keeps every other line unchanged.
//!
//! The grammar is that of compose-go's `dotenv` package: `[export] KEY=VALUE` or `KEY: VALUE`, or `KEY` alone. A value
//! is unquoted (to the end of the line), or in single or double quotes (over several lines).

use super::invalid;
use crate::model::failure::{Failure, Location};
use crate::model::secret::Variable;
use camino::Utf8Path;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::ops::Range;

/// One `KEY=VALUE` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The key.
    pub key: &'a str,
    /// The text between the quotes of the value; `None` for a key alone, whose value Compose takes from its own
    /// environment.
    pub value: Option<&'a str>,
    /// The byte range of all its lines, including the line break.
    pub lines: Range<usize>,
}

/// A problem in a file or in a variable. Its message quotes no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, counted from 1; `None` if the problem is in a variable of the manifest.
    pub line: Option<usize>,
    /// The message, one sentence.
    pub message: String,
}

impl Problem {
    /// Returns the failure to report for the file at `path`.
    pub fn into_failure(self, path: &Utf8Path) -> Failure {
        let Some(line) = self.line else {
            return invalid(self.message).hint("Fix it in the manifest: application.compose.variables");
        };
        let file = path.to_string();
        // There is no source text, because the file holds secrets.
        invalid(format!("{path} cannot be merged with the manifest's variables: {}", self.message))
            .at(Location { file, line, column: 1, span: None, source: None })
            .hint("Write KEY=VALUE on each line; comments begin with #")
    }
}

/// Returns the text of the merged file: the variables first, so that interpolation in `own` finds them, then `own`
/// without the statements that a variable replaces. Returns `None` if the value of a variable is not known.
///
/// # Errors
/// A `.env` file cannot hold a variable, or Compose could not read `own` either.
pub fn merge(own: &str, variables: &BTreeMap<String, Variable>) -> Result<Option<String>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut merged = Some(String::new());
    for (key, Variable { value, .. }) in variables {
        let value = value.as_ref().map(ExposeSecret::expose_secret);
        if !is_key(key) {
            let message = format!("The variable {key:?} needs another name: letters, digits and _, no digit first");
            problems.push(Problem { line: None, message });
        } else if value.is_some_and(|value| value.contains('\0')) {
            let message =
                format!("The value of the variable {key} contains a NUL byte, which variables cannot contain");
            problems.push(Problem { line: None, message });
        }
        merged = merged.zip(value).map(|(text, value)| format!("{text}{key}={}\n", quoted(value)));
    }
    if variables.is_empty() {
        return Ok(Some(own.to_owned()));
    }
    let own = own.strip_prefix('\u{feff}').unwrap_or(own);
    match statements(own) {
        Err(problem) => problems.push(problem),
        Ok(statements) => {
            let mut from = 0;
            for statement in statements.iter().filter(|statement| variables.contains_key(statement.key)) {
                merged = merged.map(|text| text + &own[from..statement.lines.start]);
                from = statement.lines.end;
            }
            merged = merged.map(|text| text + &own[from..]);
        }
    }
    if problems.is_empty() { Ok(merged) } else { Err(problems) }
}

/// Returns a value in double quotes and escaped, which Compose reads back byte for byte.
pub fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '$' => text.push_str("\\$"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// Returns the statements of a file, in order.
///
/// # Errors
/// The first line that Compose would refuse.
pub fn statements(text: &str) -> Result<Vec<Statement<'_>>, Problem> {
    let mut found = Vec::new();
    let mut at = text.len() - text.trim_start_matches('\u{feff}').len();
    while let Some(start) = next_start(text, at) {
        let problem = |message: &str| Problem {
            line: Some(text[..start].matches('\n').count() + 1),
            message: message.to_owned(),
        };
        let name_at = start + after_export(&text[start..]);
        let name_end = text[name_at..].find(['=', ':', '\n']).map_or(text.len(), |offset| name_at + offset);
        let key = text[name_at..name_end].trim();
        if key.is_empty() || !key.chars().all(|c| c.is_alphanumeric() || "_.-[]".contains(c)) {
            return Err(problem("this line is not KEY=VALUE"));
        }
        let assigned = matches!(text.as_bytes().get(name_end), Some(b'=' | b':'));
        let line_start = text[at..start].rfind('\n').map_or(at, |newline| at + newline + 1);
        let (value, end) = if assigned {
            let value_at = name_end + 1;
            let value_at = value_at + text[value_at..].find(|c| !is_blank(c)).unwrap_or(text.len() - value_at);
            let (value, end) = value(&text[value_at..]).ok_or_else(|| problem("a quote is not closed"))?;
            (Some(value), value_at + end)
        } else {
            (None, name_end)
        };
        // The text after a closing quote may be a comment, which belongs to the statement, or another statement, which
        // does not.
        let behind = text[end..].trim_start_matches(|c: char| c.is_whitespace() && c != '\n');
        let blank = text.len() - end - behind.len();
        let end = match behind.chars().next() {
            None | Some('#' | '\n') => behind.find('\n').map_or(text.len(), |newline| end + blank + newline + 1),
            Some(_) => end,
        };
        let lines = line_start..end;
        at = end;
        found.push(Statement { key, value, lines });
    }
    Ok(found)
}

/// Returns the start of the next statement, after white space and comments.
fn next_start(text: &str, mut at: usize) -> Option<usize> {
    loop {
        at += text[at..].find(|c: char| !c.is_whitespace())?;
        if !text[at..].starts_with('#') {
            return Some(at);
        }
        at += text[at..].find('\n')?;
    }
}

fn after_export(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("export") else { return 0 };
    let trimmed = rest.trim_start_matches(is_blank);
    if trimmed.len() == rest.len() { 0 } else { text.len() - trimmed.len() }
}

/// Returns the value at the start of `text`, without its quotes, and the offset of its end.
fn value(text: &str) -> Option<(&str, usize)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let line = &text[..text.find('\n').unwrap_or(text.len())];
        let bare = line.split(" #").next().unwrap_or(line);
        return Some((bare.trim_end(), line.len()));
    };
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            other if other == quote => return Some((&text[1..offset], offset + 1)),
            _ => {}
        }
    }
    None
}

/// Returns true for white space within a line.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{a0}')
}

fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
