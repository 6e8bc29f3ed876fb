//! Variables in a text of a Compose file, as far as their values are in the release's `.env`. A value that is not known
//! becomes a wildcard: the result says which paths the text may mean.

use super::dotenv;
use std::collections::BTreeMap;

/// The values that Compose finds in `.env`. A value that is made from others is not among them.
#[derive(Default)]
pub struct Values(BTreeMap<String, Option<String>>);

/// The possible results of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Text {
    /// This.
    Known(String),
    /// Anything that this glob matches.
    Glob(String),
}

impl Values {
    /// The values of a file; of one whose content is not known, none.
    pub fn of(env: Option<&str>) -> Self {
        let statements = env.and_then(|text| dotenv::statements(text).ok()).unwrap_or_default();
        let value = |text: &str| (!text.contains(['$', '\\'])).then(|| text.to_owned());
        Self(statements.into_iter().map(|one| (one.key.to_owned(), one.value.and_then(value))).collect())
    }

    /// Puts values in place of variables.
    pub fn fill(&self, text: &str) -> Text {
        let mut parts = Vec::new();
        self.parts(text, &mut parts);
        if parts.iter().all(Option::is_some) {
            return Text::Known(parts.into_iter().flatten().collect());
        }
        Text::Glob(parts.iter().map(|part| part.as_deref().map_or_else(|| "*".to_owned(), globset::escape)).collect())
    }

    /// The parts of a text; `None` is one that is not known.
    fn parts(&self, mut rest: &str, parts: &mut Vec<Option<String>>) {
        while let Some(at) = rest.find('$') {
            parts.push(Some(rest[..at].to_owned()));
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                parts.push(Some("$".to_owned()));
                rest = after;
            } else if let Some(braced) = rest.strip_prefix('{') {
                let end = closing(braced);
                self.braced(&braced[..end], parts);
                rest = braced.get(end + 1..).unwrap_or_default();
            } else {
                let end = name_end(rest);
                parts.push(self.value(&rest[..end]));
                rest = &rest[end..];
            }
        }
        parts.push(Some(rest.to_owned()));
    }

    /// `NAME`, `NAME:-default`, `NAME-default`, `NAME:+other`, `NAME+other`, `NAME:?message` or `NAME?message`.
    fn braced(&self, text: &str, parts: &mut Vec<Option<String>>) {
        let (name, rest) = text.split_at(name_end(text));
        let (empty_counts, operator) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
        let known = self.0.get(name);
        let missing = match known {
            None => true,
            Some(value) => empty_counts && value.as_deref() == Some(""),
        };
        match operator.chars().next() {
            Some('-') if missing => self.parts(&operator[1..], parts),
            Some('+') if !missing => self.parts(&operator[1..], parts),
            Some('+') => parts.push(Some(String::new())),
            _ => parts.push(self.value(name)),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned().flatten()
    }
}

/// Where a name ends.
fn name_end(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Where the brace that was opened before `text` is closed.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_as_compose_does_and_unknown_ones_are_wildcards() {
        let values = Values::of(Some("STAGE=prod\nEMPTY=\nMADE=$STAGE\n"));
        let known = [
            ("./plain", "./plain"),
            ("./${STAGE}/$STAGE.env", "./prod/prod.env"),
            ("a$$b", "a$b"),
            ("${NONE:-x}${EMPTY:-y}${EMPTY-z}", "xy"),
            ("${NONE:-${STAGE}/${NONE:-d}}", "prod/d"),
            ("${STAGE:+set}${NONE+set}", "set"),
            ("${STAGE:?must be}", "prod"),
        ];
        for (text, filled) in known {
            assert_eq!(values.fill(text), Text::Known(filled.to_owned()), "{text}");
        }
        for (text, glob) in [("./${NONE}/[x].txt", "./*/[[]x[]].txt"), ("$MADE", "*"), ("${STAGE}${", "prod*")] {
            assert_eq!(values.fill(text), Text::Glob(glob.to_owned()), "{text}");
        }
    }
}
