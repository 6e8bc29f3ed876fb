//! Interpolates variables in a text of a Compose file with the values in the release's `.env`. A value that is not
//! known becomes a wildcard, so that the result covers every path that the text may mean.

use super::dotenv;
use std::collections::{BTreeMap, BTreeSet};

/// The deepest nesting of variables in the defaults of variables (`${A:-${B:-c}}` has two levels). A deeper text is not
/// a path.
pub const DEEPEST: usize = 32;
/// The longest text that can name a file (bytes).
const LONGEST: usize = 16 << 10;
/// The most problems that are found in one text.
const MOST: usize = 100;

/// The variables that Compose finds in `.env`. A value that contains other variables is not known.
#[derive(Default)]
pub struct Values {
    known: BTreeMap<String, Option<String>>,
    /// True if there may be more variables, because the content of the file is not known.
    open: bool,
}

/// A problem with a variable in a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// The variable is not set, and Compose would replace it with nothing.
    Unset(&'a str),
    /// The variable is not set, and Compose would end with this message.
    Required(&'a str, &'a str),
    /// This text, which begins with `$`, is not a variable, and Compose would end with an error.
    Syntax(&'a str),
    /// This text is nested in too many variables.
    Nested(&'a str),
}

impl<'a> Fault<'a> {
    /// Returns the part of the text that the problem is about: the name of the variable, or a whole text.
    pub const fn part(&self) -> &'a str {
        let (Self::Unset(part) | Self::Required(part, _) | Self::Syntax(part) | Self::Nested(part)) = *self;
        part
    }
}

/// The possible results of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Text {
    /// The exact text.
    Known(String),
    /// Any text that this glob matches.
    Glob(String),
}

impl Values {
    /// Returns the values of a file, or no values if its content is not known. `names` are set in any case; if `open`,
    /// others may be set as well.
    pub fn of<'a>(env: Option<&str>, names: impl IntoIterator<Item = &'a str>, open: bool) -> Self {
        let statements = env.and_then(|text| dotenv::statements(text).ok()).unwrap_or_default();
        let value = |text: &str| (!text.contains(['$', '\\'])).then(|| text.to_owned());
        let mut known: BTreeMap<_, _> = names.into_iter().map(|name| (name.to_owned(), None)).collect();
        known.extend(statements.into_iter().map(|one| (one.key.to_owned(), one.value.and_then(value))));
        Self { known, open }
    }

    /// Returns the names of the variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
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
    fn parts(&self, text: &str, parts: &mut Parts, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("has more than {DEEPEST} nested variables"));
        }
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => parts.add(Some(text))?,
                Piece::Variable { name, operator, other, .. } => match operator {
                    Some(Operator { sign: '-', .. }) if self.is_missing(name, operator) => {
                        self.parts(other, parts, depth + 1)?;
                    }
                    Some(Operator { sign: '+', .. }) if !self.is_missing(name, operator) => {
                        self.parts(other, parts, depth + 1)?;
                    }
                    Some(Operator { sign: '+', .. }) => parts.add(Some(""))?,
                    _ => parts.add(self.value(name))?,
                },
            }
        }
        Ok(())
    }

    fn is_missing(&self, name: &str, operator: Option<Operator>) -> bool {
        match self.known.get(name) {
            None => true,
            Some(value) => operator.is_some_and(|one| one.empty_counts) && value.as_deref() == Some(""),
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.known.get(name)?.as_deref()
    }

    /// Returns the first problems with the variables of a text, in their order and each once.
    pub fn faults<'a>(&self, text: &'a str) -> Vec<Fault<'a>> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        // The text itself, then the parts of its variables that Compose interpolates next.
        let mut waiting = vec![(text, 0)];
        while let Some((text, depth)) = waiting.pop() {
            for piece in pieces(text) {
                let fault = match self.fault(&piece) {
                    Ok(None) => continue,
                    Ok(Some(nested)) if depth < DEEPEST => {
                        waiting.push((nested, depth + 1));
                        continue;
                    }
                    Ok(Some(nested)) => Fault::Nested(nested),
                    Err(fault) => fault,
                };
                found.extend(seen.insert(fault.part()).then_some(fault));
                if found.len() >= MOST {
                    return found;
                }
            }
        }
        found
    }

    /// Returns the part of a variable that Compose interpolates next, if there is one. Compose sets
    /// `COMPOSE_PROJECT_NAME` itself.
    fn fault<'a>(&self, piece: &Piece<'a>) -> Result<Option<&'a str>, Fault<'a>> {
        let Piece::Variable { name, operator, other, wrong } = *piece else { return Ok(None) };
        let is_set = self.open || self.known.contains_key(name) || name == "COMPOSE_PROJECT_NAME";
        match (wrong, operator.map(|operator| operator.sign)) {
            (Some(wrong), _) => Err(Fault::Syntax(wrong)),
            (None, Some('-')) => Ok((!is_set).then_some(other)),
            (None, Some('+')) => Ok(is_set.then_some(other)),
            _ if is_set => Ok(None),
            (None, Some(_)) => Err(Fault::Required(name, other)),
            (None, None) => Err(Fault::Unset(name)),
        }
    }
}

/// A piece of a text.
enum Piece<'a> {
    Text(&'a str),
    /// `NAME`, or a name with an operator and the text after the operator (`NAME:-default`). `wrong` is the whole text
    /// if Compose does not accept it as a variable.
    Variable {
        name: &'a str,
        operator: Option<Operator>,
        other: &'a str,
        wrong: Option<&'a str>,
    },
}

/// Operator after the name of a variable: `-` a default, `+` another value if it is set, `?` an error message.
#[derive(Clone, Copy)]
struct Operator {
    sign: char,
    /// True after a colon: a variable without text counts as not set.
    empty_counts: bool,
}

/// Splits a text into its pieces.
fn pieces(mut rest: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let (piece, length) = match rest.find('$') {
            _ if rest.is_empty() => return None,
            Some(0) => variable(rest),
            Some(at) => (Piece::Text(&rest[..at]), at),
            None => (Piece::Text(rest), rest.len()),
        };
        rest = &rest[length..];
        Some(piece)
    })
}

/// Returns the piece that begins with the `$` of a text, and its length.
fn variable(text: &str) -> (Piece<'_>, usize) {
    let after = &text[1..];
    if after.starts_with('$') {
        return (Piece::Text(&text[..1]), 2);
    }
    let braced = after.strip_prefix('{');
    let (inside, length) = match braced {
        None => (&after[..name_end(after)], 1 + name_end(after)),
        Some(braced) => (&braced[..closing(braced)], (2 + closing(braced) + 1).min(text.len())),
    };
    let (name, rest) = inside.split_at(name_end(inside));
    let (empty_counts, rest) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
    let operator = rest.chars().next().map(|sign| Operator { sign, empty_counts });
    let is_open = braced.is_some() && !text[..length].ends_with('}');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_operator = operator.map_or(!empty_counts, |operator| matches!(operator.sign, '-' | '+' | '?'));
    let wrong = (is_open || !is_name || !is_operator).then_some(&text[..length]);
    // A wrong operator can be any character.
    let other = operator.map_or("", |operator| &rest[operator.sign.len_utf8()..]);
    (Piece::Variable { name, operator, other, wrong }, length)
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
        let values = Values::of(Some("STAGE=prod\nEMPTY=\nMADE=$STAGE\n"), [], false);
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
    fn a_variable_that_is_not_set_and_has_no_default_is_a_fault() {
        use Fault::{Nested, Required, Syntax, Unset};
        let values = Values::of(Some("SET=1\nEMPTY=\n"), ["SECRET"], false);
        for text in ["$SET${EMPTY}$$NONE", "${NONE:-x}${NONE-}${NONE:+$OTHER}", "${SECRET?}${COMPOSE_PROJECT_NAME}"] {
            assert_eq!(values.faults(text), [], "{text}");
        }
        assert_eq!(values.faults("$NONE ${SET}${OTHER}"), [Unset("NONE"), Unset("OTHER")]);
        assert_eq!(values.faults("${NONE:-${OTHER}}${SET:+$MORE}"), [Unset("MORE"), Unset("OTHER")]);
        assert_eq!(values.faults("${NONE:?must be set}"), [Required("NONE", "must be set")]);
        assert_eq!(values.faults("a $1 ${} ${SET!} ${SET"), ["$1", "${}", "${SET!}", "${SET"].map(Syntax));
        assert_eq!(values.faults("costs 5$"), [Syntax("$")]);
        assert_eq!(Values::of(None, [], true).faults("$NONE"), []);
        assert_eq!(values.faults(&"${NONE:-".repeat(20_000)).len(), 1, "no recursion");
        let nested = "${NONE:-".repeat(1_000_000) + &"}".repeat(1_000_000);
        assert!(matches!(values.faults(&nested)[..], [Nested(_)]), "no work that grows with the square of the length");
    }

    #[test]
    fn texts_that_name_no_file_are_refused_at_once() {
        let values = Values::of(Some(&format!("LONG={}\n", "x".repeat(1000))), [], false);
        let nested = |depth: usize| "${NONE:-".repeat(depth) + "x" + &"}".repeat(depth);
        assert_eq!(values.fill(&nested(DEEPEST)), Ok(Text::Known("x".to_owned())));
        assert!(values.fill(&nested(DEEPEST + 1)).unwrap_err().contains("nested variables"));
        assert!(values.fill(&"${NONE:-".repeat(2000)).unwrap_err().contains("nested variables"));
        for text in ["$LONG".repeat(100), "x".repeat(LONGEST + 1), "${NONE:-".repeat(20_000)] {
            assert!(values.fill(&text).unwrap_err().contains("16 KiB"));
        }
    }
}
