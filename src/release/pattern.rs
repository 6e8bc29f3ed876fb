//! Globs from untrusted authors, compiled with a limit on their length. A pattern that is too large is an error, not a
//! panic.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// The longest pattern (bytes). A longer one matches no path that a system has.
const LONGEST: usize = 4096;

/// Compiles a pattern. If `literal`, `*` and `?` do not match slashes.
///
/// # Errors
/// The reason why the text is not a pattern, as the end of a sentence about it.
pub fn compile(pattern: &str, literal: bool) -> Result<GlobSet, String> {
    if pattern.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(literal).build();
    let set = glob.and_then(|glob| GlobSetBuilder::new().add(glob).build());
    set.map_err(|error| error.kind().to_string())
}

/// Returns the beginning of a pattern, for messages.
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
