//! Interpolates variables in a text of a Compose file with the values in the release's `.env`. A value that is not
//! known becomes a wildcard, so that the result covers every path that the text may mean.

use super::dotenv;
use std::collections::BTreeMap;

/// The deepest nesting of variables in the defaults of variables (`${A:-${B:-c}}` has two levels). A deeper text is not
/// a path.
const DEEPEST: usize = 32;
/// The longest text that can name a file (bytes).
const LONGEST: usize = 16 << 10;

/// The values that Compose finds in `.env`. A value that contains other variables is not known.
#[derive(Default)]
pub struct Values(BTreeMap<String, Option<String>>);

/// The possible results of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Text {
    /// The exact text.
    Known(String),
    /// Any text that this glob matches.
    Glob(String),
}

impl Values {
    /// Returns the values of a file, or no values if its content is not known.
    pub fn of(env: Option<&str>) -> Self {
        let statements = env.and_then(|text| dotenv::statements(text).ok()).unwrap_or_default();
        let value = |text: &str| (!text.contains(['$', '\\'])).then(|| text.to_owned());
        Self(statements.into_iter().map(|one| (one.key.to_owned(), one.value.and_then(value))).collect())
    }

    /// Replaces variables by their values.
    ///
    /// # Errors
    /// The text or its result is longer or more deeply nested than any that names a file. The reason is the end of a
    /// sentence about the text.
    pub fn fill(&self, text: &str) -> Result<Text, String> {
        let mut parts = Parts { found: Vec::new(), room: LONGEST };
        if text.len() > LONGEST {
            return Err(too_long());
        }
        self.parts(text, &mut parts, 0)?;
        let parts = parts.found;
        if parts.iter().all(Option::is_some) {
            return Ok(Text::Known(parts.into_iter().flatten().collect()));
        }
        let glob = |part: &Option<String>| part.as_deref().map_or_else(|| "*".to_owned(), globset::escape);
        Ok(Text::Glob(parts.iter().map(glob).collect()))
    }

    /// Adds the parts of a text that is nested in `depth` variables.
    fn parts(&self, mut rest: &str, parts: &mut Parts, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("has more than {DEEPEST} nested variables"));
        }
        while let Some(at) = rest.find('$') {
            parts.add(Some(&rest[..at]))?;
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                parts.add(Some("$"))?;
                rest = after;
            } else if let Some(braced) = rest.strip_prefix('{') {
                let end = closing(braced);
                self.braced(&braced[..end], parts, depth)?;
                rest = braced.get(end + 1..).unwrap_or_default();
            } else {
                let end = name_end(rest);
                parts.add(self.value(&rest[..end]))?;
                rest = &rest[end..];
            }
        }
        parts.add(Some(rest))
    }

    /// Adds `NAME`, `NAME:-default`, `NAME-default`, `NAME:+other`, `NAME+other`, `NAME:?message` or `NAME?message`.
    fn braced(&self, text: &str, parts: &mut Parts, depth: usize) -> Result<(), String> {
        let (name, rest) = text.split_at(name_end(text));
        let (empty_counts, operator) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
        let known = self.0.get(name);
        let missing = match known {
            None => true,
            Some(value) => empty_counts && value.as_deref() == Some(""),
        };
        match operator.chars().next() {
            Some('-') if missing => self.parts(&operator[1..], parts, depth + 1),
            Some('+') if !missing => self.parts(&operator[1..], parts, depth + 1),
            Some('+') => parts.add(Some("")),
            _ => parts.add(self.value(name)),
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }
}

struct Parts {
    /// The parts; `None` for one that is not known.
    found: Vec<Option<String>>,
    /// The bytes that may still be added.
    room: usize,
}

impl Parts {
    fn add(&mut self, part: Option<&str>) -> Result<(), String> {
        self.room = self.room.checked_sub(part.map_or(1, str::len)).ok_or_else(too_long)?;
        self.found.push(part.map(str::to_owned));
        Ok(())
    }
}

fn too_long() -> String {
    format!("is longer than {} KiB", LONGEST >> 10)
}

/// Returns the offset of the end of a name.
fn name_end(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Returns the offset of the brace that closes the one before `text`.
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
            assert_eq!(values.fill(text).unwrap(), Text::Known(filled.to_owned()), "{text}");
        }
        for (text, glob) in [("./${NONE}/[x].txt", "./*/[[]x[]].txt"), ("$MADE", "*"), ("${STAGE}${", "prod*")] {
            assert_eq!(values.fill(text).unwrap(), Text::Glob(glob.to_owned()), "{text}");
        }
    }

    #[test]
    fn texts_that_name_no_file_are_refused_at_once() {
        let values = Values::of(Some(&format!("LONG={}\n", "x".repeat(1000))));
        let nested = |depth: usize| "${NONE:-".repeat(depth) + "x" + &"}".repeat(depth);
        assert_eq!(values.fill(&nested(DEEPEST)), Ok(Text::Known("x".to_owned())));
        assert!(values.fill(&nested(DEEPEST + 1)).unwrap_err().contains("nested variables"));
        assert!(values.fill(&"${NONE:-".repeat(2000)).unwrap_err().contains("nested variables"));
        for text in ["$LONG".repeat(100), "x".repeat(LONGEST + 1), "${NONE:-".repeat(20_000)] {
            assert!(values.fill(&text).unwrap_err().contains("16 KiB"));
        }
    }
}
