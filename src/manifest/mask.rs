//! Masks secrets that the manifest holds as literals, so that a snippet can be shown. Keeps the length of the text and
//! the position of every line.

use super::written::Spot;

/// Keys whose values are secrets.
const SECRET_KEYS: &[&str] = &["sudo_password", "identity", "state_passphrase"];

/// Returns `text` with asterisks in place of the bytes at `spots`, the values of secret keys and passwords in URLs. The
/// keys are searched in the text because a file that does not parse must be shown too.
pub fn masked(text: &str, spots: &[Spot]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for spot in spots {
        hide(&mut bytes, spot.start as usize, (spot.start as usize).saturating_add(spot.length as usize));
    }
    for key in SECRET_KEYS {
        for (at, _) in text.match_indices(key) {
            if let Some((start, end)) = literal_after(text, at, key.len()) {
                hide(&mut bytes, start, end);
            }
        }
    }
    for (at, _) in text.match_indices("://") {
        let authority = text[at + 3..].split(['/', ' ', '\n', '"', '\'']).next().unwrap_or_default();
        if let Some((user, password)) = authority.rsplit_once('@').and_then(|(login, _)| login.split_once(':')) {
            let start = at + 3 + user.len() + 1;
            hide(&mut bytes, start, start + password.len());
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len()))
}

fn hide(bytes: &mut [u8], start: usize, end: usize) {
    let end = end.min(bytes.len());
    for byte in bytes.get_mut(start..end).unwrap_or_default() {
        if !matches!(*byte, b'\n' | b'\r' | b' ') {
            *byte = b'*';
        }
    }
}

/// Returns the bytes of the literal after the key at `at`; `None` if a source follows, or if the text at `at` is not a
/// key.
fn literal_after(text: &str, at: usize, length: usize) -> Option<(usize, usize)> {
    let before = text[..at].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let mut rest = &text[at + length..];
    if let (Some(quote @ ('"' | '\'')), true) = (before, rest.starts_with(['"', '\''])) {
        rest = rest.strip_prefix(quote)?;
    }
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix(':')?.trim_start_matches([' ', '\t']);
    let start = text.len() - rest.len();
    match rest.chars().next()? {
        '{' | '*' => None,
        quote @ ('"' | '\'') => Some((start, start + 1 + quoted(&rest[1..], quote))),
        _ => {
            let line = rest.find('\n').unwrap_or(rest.len());
            let below = &rest[line..];
            let source = below.trim_start();
            if rest[..line].trim().is_empty() && (source.starts_with("from_") || source.starts_with("secret:")) {
                return None;
            }
            Some((start, start + line + deeper(below, indent_of(text, at))))
        }
    }
}

/// Returns the length of the rest of a quoted scalar, including its closing quote.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn indent_of(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..].len() - text[line..].trim_start_matches([' ', '-']).len()
}

/// Returns the length of the following lines that are indented deeper: the rest of a block or folded scalar.
fn deeper(below: &str, indent: usize) -> usize {
    let mut length = 0;
    for line in below.split_inclusive('\n') {
        let content = line.trim_start_matches(' ');
        if !content.trim().is_empty() && line.len() - content.len() <= indent {
            break;
        }
        length += line.len();
    }
    length
}

#[cfg(test)]
mod tests {
    use crate::manifest::mask::masked;

    #[test]
    fn hides_literals_and_shows_sources() {
        for (text, shown) in [
            ("ssh:\n  sudo_password: hunter2\n  user: a\n", "ssh:\n  sudo_password: *******\n  user: a\n"),
            ("{ sudo_password: 'a b', user: x }", "{ sudo_password: ** **, user: x }"),
            (r#"{"sudo_password": "a\"b", "user": 1}"#, r#"{"sudo_password": ******, "user": 1}"#),
            ("sudo_password: { from_env: X }\n", "sudo_password: { from_env: X }\n"),
            ("sudo_password:\n  from_env: X\n", "sudo_password:\n  from_env: X\n"),
            ("  identity: |\n    KEY\n    MORE\n  user: a\n", "  identity: *\n    ***\n    ****\n  user: a\n"),
            ("identity_file: ~/.ssh/id\n", "identity_file: ~/.ssh/id\n"),
            ("state: postgres://me:secret@host/db\n", "state: postgres://me:******@host/db\n"),
            ("my_identity: me\n", "my_identity: me\n"),
            ("sudo_password: \"never closed\n", "sudo_password: ****** ******\n"),
        ] {
            assert_eq!(masked(text, &[]), shown);
        }
    }
}
