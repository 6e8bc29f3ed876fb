//! Short texts within a line of Markdown.

use crate::model::defuse;
use std::fmt::Write as _;

pub(super) fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

pub(super) fn cut(text: &str, most: usize) -> String {
    let line = defuse::line(text);
    match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Returns text as code with every special character written as an entity. The result is valid in a list, a table and a
/// summary, mentions no user and contains no link. GitHub also makes links of `www.` and of mail addresses, the latter
/// after entities are decoded, so `@` gets an empty comment before it.
pub(super) fn code(text: &str) -> String {
    let line = defuse::line(text);
    let mut out = String::from("<code>");
    for c in line.chars() {
        let plain = c.is_ascii_alphanumeric() || !c.is_ascii() || matches!(c, ' ' | '-' | '/' | ',' | '(' | ')' | '=');
        let begins_link = out.get(out.len().saturating_sub(3)..).is_some_and(|end| end.eq_ignore_ascii_case("www"));
        if plain || (c == '.' && !begins_link) {
            out.push(c);
        } else {
            out.push_str(if c == '@' { "<!-- -->" } else { "" });
            let _ = write!(out, "&#{};", u32::from(c));
        }
    }
    out + "</code>"
}
