//! Laws of the `.env` file: Compose reads back the values of the manifest, byte for byte. Needs no Compose: `read`
//! below is a reader of its format, written from its description.

use deployer::model::secret::Variable;
use deployer::release::dotenv::{Problem, merge, quoted, statements};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Returns Compose's reading of a double-quoted value: the quotes are removed, escapes are resolved, and an unescaped
/// `$` is an error.
fn read(quoted: &str) -> Result<String, String> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or("no quotes")?;
    let mut value = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Err("closed too early".to_owned()),
            '$' => return Err("interpolated".to_owned()),
            '\\' => value.push(match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(kept @ ('"' | '\\' | '$')) => kept,
                other => return Err(format!("unexpected escape {other:?}")),
            }),
            other => value.push(other),
        }
    }
    Ok(value)
}

fn variables(named: &[(&str, &str)]) -> BTreeMap<String, Variable> {
    let variable = |value: &str| Variable { value: Some(value.to_owned().into()), secret: true };
    named.iter().map(|(name, value)| ((*name).to_owned(), variable(value))).collect()
}

/// Generates any value, with a preference for special characters.
fn value() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "\\", "\"", "'", "$", "$$", "${A}", "$(x)", "`", "\n", "\r", "\r\n", "\t", " ", "#", " #", "=", ":", "%", ";",
        "\\n", "\\\\", "\\\"", "\\$", "export ", "-", "ü", "\u{feff}", "\u{2028}", "😀", "\u{1}", "KEY=x\n", "",
    ]);
    let part = prop_oneof![hostile.prop_map(str::to_owned), "[^\0]{0,3}"];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Generates a line of a file that somebody wrote.
fn line() -> impl Strategy<Value = String> {
    let key = "(export )?[A-E]";
    let bare = (key, "[a-z ]{0,5}").prop_map(|(key, value)| format!("{key}={value}"));
    let twice = (key, value()).prop_map(|(key, value)| format!("{key} = {} # why", quoted(&value)));
    let once = (key, "[a-zA-Z=\n#\" ]{0,9}").prop_map(|(key, value)| format!("{key}: '{value}'"));
    let other = prop::sample::select(vec!["", "# A=1", "  # \"", "F"]).prop_map(str::to_owned);
    prop_oneof![bare, twice, once, other]
}

proptest! {
    #[test]
    fn a_quoted_value_reads_back_byte_for_byte(value in value()) {
        prop_assert_eq!(read(&quoted(&value)).unwrap(), value.clone());
        let text = format!("KEY={}\nNEXT=1\n", quoted(&value));
        let found = statements(&text).unwrap();
        prop_assert_eq!(found.len(), 2);
        prop_assert_eq!(found[1].key, "NEXT");
    }

    #[test]
    fn the_variables_win_and_the_rest_stays(lines in prop::collection::vec(line(), 0..8), one in value(), two in value()) {
        let own = lines.join("\n");
        let merged = merge(&own, &variables(&[("A", &one), ("C", &two)])).unwrap().unwrap();
        let before = statements(&own).unwrap();
        let after = statements(&merged).unwrap();
        let ours = format!("A={}\nC={}\n", quoted(&one), quoted(&two));
        prop_assert!(merged.starts_with(&ours));
        let kept = |found: &[deployer::release::dotenv::Statement]| -> Vec<(String, Option<String>)> {
            found.iter().filter(|one| !matches!(one.key, "A" | "C"))
                .map(|one| (one.key.to_owned(), one.value.map(str::to_owned))).collect()
        };
        prop_assert_eq!(kept(&before), kept(&after));
        prop_assert_eq!(after.iter().filter(|one| matches!(one.key, "A" | "C")).count(), 2);
        let comments = |text: &str| text.matches("# A=1").count();
        prop_assert!(comments(&merged) >= comments(&own).min(1));
    }

    #[test]
    fn any_text_is_read_or_refused_but_never_a_panic(text in "[A-C=:'\"\\\\\n #\u{85}\u{a0}export-]{0,40}") {
        if let Ok(found) = statements(&text) {
            for pair in found.windows(2) {
                prop_assert!(pair[0].lines.end <= pair[1].lines.start);
            }
            merge(&text, &variables(&[("A", "x")])).unwrap();
        }
    }
}

#[test]
fn the_forms_of_a_statement() {
    let text = "\u{feff}A=1\nB: two # why\n export C='x\ny' # z\nD = \"a\\\"b\" E=#x\r\n\n# no\nF\n G.h-[0]=";
    let found: Vec<(&str, Option<&str>)> =
        statements(text).unwrap().into_iter().map(|found| (found.key, found.value)).collect();
    let expected = [
        ("A", Some("1")),
        ("B", Some("two")),
        ("C", Some("x\ny")),
        ("D", Some("a\\\"b")),
        ("E", Some("#x")),
        ("F", None),
        ("G.h-[0]", Some("")),
    ];
    assert_eq!(found, expected);
}

#[test]
fn errors_that_compose_would_refuse_are_refused_with_their_line() {
    for (text, line) in [("A=1\nB C=2", 2), ("=1", 1), ("A=1\n\n\nB=\"open\nC=1", 4), ("%", 1)] {
        let Problem { line: found, .. } = statements(text).unwrap_err();
        assert_eq!(found, Some(line), "{text}");
    }
}

#[test]
fn a_value_that_is_not_known_leaves_no_file() {
    let unknown = [("A".to_owned(), Variable { value: None, secret: true })].into();
    assert_eq!(merge("B=1", &unknown), Ok(None));
    assert_eq!(merge("B=1", &BTreeMap::new()), Ok(Some("B=1".to_owned())));
}
