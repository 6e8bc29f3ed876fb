//! Quoting for POSIX `sh`. This module knows no command and starts none.

pub mod engine;
pub mod guarded;

/// Quotes one word so that `sh` reads exactly this text, with any characters.
///
/// No shell can hold a NUL. A NUL becomes U+FFFD, so that the NUL neither ends the word nor disappears silently. A word
/// that needs no quotes gets none, which keeps scripts readable.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,@+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\0', "\u{fffd}").replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use crate::io::process;
    use crate::model::shell::quote;
    use proptest::prelude::*;
    use std::time::Duration;

    /// Returns the words that `sh` reads from the quoted words.
    fn read_back(words: &[String]) -> Vec<u8> {
        let script = format!("printf '%s\\n' {}", words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "));
        let argv = ["sh".to_owned(), "-c".to_owned(), script];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let finished = runtime.block_on(process::run(&argv, b"", Duration::from_secs(30))).unwrap();
        assert!(finished.status.success(), "{finished:?}");
        finished.stdout
    }

    fn printed(words: &[String]) -> Vec<u8> {
        words.iter().flat_map(|word| format!("{}\n", word.replace('\0', "\u{fffd}")).into_bytes()).collect()
    }

    #[test]
    fn leaves_plain_words_readable() {
        assert_eq!(quote("/opt/deployer/shop--prod"), "/opt/deployer/shop--prod");
        assert_eq!(quote("a=b"), "'a=b'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }

    #[test]
    fn keeps_hostile_words() {
        let words: Vec<String> = [
            "",
            " ",
            "'",
            "''",
            "\\",
            "\\'",
            "\"",
            "`id`",
            "$(id)",
            "${HOME}",
            "$$",
            "; rm -rf /",
            "a\nb",
            "\n",
            "-n",
            "--",
            "%s%n",
            "*",
            "?[a]",
            "~",
            "~root",
            "!!",
            "#",
            "&",
            "|",
            "<",
            ">",
            "a\tb",
            "\r\n",
            "é漢字🦀",
            "\u{202e}",
            "\u{7f}",
            "a\0b",
            "=",
            "{a,b}",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(read_back(&words), printed(&words));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sh_reads_what_was_quoted(words in proptest::collection::vec("(?s).{0,40}|[\\x00-\\x7f]{0,40}|['\"$`\\\\!\n ;-]{0,12}", 1..8)) {
            prop_assert_eq!(read_back(&words), printed(&words));
        }
    }
}
