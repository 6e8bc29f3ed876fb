//! Finds the key and the value that an error in the text is about. Reads only the text of the manifest.

use super::rules::shown;
use super::written::Spot;

/// The text around an error.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The masked text.
    pub text: &'a str,
    /// Position of the error.
    pub spot: Spot,
}

impl Around<'_> {
    /// Returns the key whose value the error is about, as the subject of a sentence.
    pub fn subject(self) -> String {
        let before = self.text.get(..self.spot.start as usize).unwrap_or_default().trim_end();
        let quotes = ['"', '\''];
        let key = before.strip_suffix(':').map(|before| before.trim_end().trim_end_matches(quotes));
        let key = key.and_then(|before| before.rsplit(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).next());
        match key.filter(|key| !key.is_empty()) {
            Some(key) => format!("`{}`", shown(key)),
            None if before.is_empty() => "The manifest".into(),
            None => "This".into(),
        }
    }

    /// Returns the key at the error or, if there is none, the key before it.
    pub fn own_key(self) -> String {
        let end = self.spot.start as usize + self.spot.length as usize;
        match (self.text.get(self.spot.start as usize..end), self.text.get(end..)) {
            (Some(key), Some(rest)) if !key.is_empty() && rest.trim_start().starts_with(':') => {
                format!("`{}`", shown(key))
            }
            _ => self.subject(),
        }
    }

    /// Returns the word that begins at the error.
    pub fn word(self) -> String {
        let rest = self.text.get(self.spot.start as usize..).unwrap_or_default();
        shown(rest.split([' ', '\n', '\r', ',', ']', '}']).next().unwrap_or_default())
    }

    /// Returns the value of the scalar at the error, if it is short and has one obvious meaning.
    fn whole_text(self) -> Option<String> {
        let start = self.spot.start as usize;
        let source = self.text.get(start..start + self.spot.length as usize)?.trim_end();
        let text = match source.chars().next()? {
            '"' => source.strip_prefix('"')?.strip_suffix('"')?.to_owned(),
            '\'' => source.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"),
            '|' | '>' => return None,
            _ => source.to_owned(),
        };
        let obvious = !text.contains(|c: char| c.is_control() || c == '\\' || c == '#');
        (obvious && text.chars().count() <= 200).then_some(text)
    }

    fn found(self) -> String {
        match self.kind() {
            "this" if self.subject() == "`from_command`" => {
                self.whole_text().map_or_else(|| "a text".into(), |text| format!("`{}`", shown(&text)))
            }
            "this" => format!("`{}`", self.word()),
            kind => kind.to_owned(),
        }
    }

    fn kind(self) -> &'static str {
        let rest = self.text.get(self.spot.start as usize..).unwrap_or_default();
        let nothing = rest.trim_start_matches([' ', '\t']).starts_with(['\n', '\r', '#', ',', '}', ']']);
        match rest.chars().next() {
            Some('[') => "a list",
            Some('-') if rest[1..].starts_with([' ', '\n', '\r']) => "a list",
            Some('{') => "a mapping",
            None | Some('~') => "nothing",
            Some(_) if nothing || rest.starts_with("null") => "nothing",
            // Block mappings have no own text.
            Some(_) if self.spot.length == 0 => "a mapping",
            Some(_) => "this",
        }
    }

    /// Returns the message and the hint for an error where one kind of value was expected and another was found.
    pub fn mismatch(self, expected: &str) -> (String, String) {
        if expected == "a mapping" && self.text.get(..self.spot.start as usize).is_some_and(|it| it.trim() == "---") {
            return ("The manifest is empty".into(), "Run deployer init to write one to start from".into());
        }
        let hint = match (expected, self.kind()) {
            ("a mapping", "nothing") => "Write {} for an empty one, or remove the key".into(),
            ("a list", "nothing") => "Write [] for an empty one, or remove the key".into(),
            (_, "nothing") => "Give it a value, or remove the key".into(),
            ("a list", "this") if self.subject() == "`from_command`" => {
                let list = self.whole_text().map_or_else(|| "[pass, show, NAME]".into(), |text| as_list(&text));
                format!("Write the program and its arguments as a list, as in: {list}")
            }
            ("a list", "this") => format!("Put it into brackets: [{}]", self.word()),
            ("a mapping", _) => "Write `key: value` pairs".into(),
            _ => "Write it in one line, in quotes if need be".into(),
        };
        (format!("{} must be {expected}, not {}", self.subject(), self.found()), hint)
    }
}

/// Returns a command line as a list in YAML. What only a shell understands is run by `sh`.
fn as_list(command: &str) -> String {
    let plain = |word: &str| word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+'));
    if command.contains(['|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '"', '\'']) {
        return format!("[sh, -c, '{}']", command.replace('\'', "''"));
    }
    let words = command.split_whitespace().map(|word| {
        let is_text = plain(word) && word.contains(char::is_alphabetic) && !word.starts_with('-');
        if is_text { word.to_owned() } else { format!("\"{word}\"") }
    });
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}
