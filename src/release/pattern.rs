//! Globs of foreign authors, compiled within bounds. Never panics for one that is too large.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A longer pattern matches no path that a system has (bytes).
const LONGEST: usize = 4096;

/// Compiles a pattern; `literal` where `*` and `?` match no slash.
///
/// # Errors
/// The reason why it is none, as the end of a sentence about it.
pub fn compile(pattern: &str, literal: bool) -> Result<GlobSet, String> {
    if pattern.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(literal).build();
    let set = glob.and_then(|glob| GlobSetBuilder::new().add(glob).build());
    set.map_err(|error| error.kind().to_string())
}

/// The beginning of a pattern, for messages.
pub fn shown(pattern: &str) -> String {
    match pattern.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", &pattern[..at]),
        None => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_a_longest_and_never_panic() {
        assert!(compile("data/**", true).unwrap().is_match("data/a/b"));
        assert!(!compile("data/*", true).unwrap().is_match("data/a/b"));
        assert!(compile(&"a".repeat(LONGEST + 1), true).unwrap_err().contains("longer than"));
        assert!(compile("[", true).is_err());
        for part in ["?", "*", "[a-z]", "{a,b}", "é", "**/", "a"] {
            let _ = compile(&part.repeat(LONGEST / part.len()), false);
        }
    }
}
