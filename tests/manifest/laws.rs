//! Laws for every text: it is read or refused without a panic, and an edit only adds.

use super::{entry, parse};
use deployer::manifest::edit::{self, Entry, Place};
use deployer::manifest::environment::Name;
use std::fs;

/// Parts of manifests, valid, invalid and hostile, from which random texts are built.
const PARTS: &[&str] = &[
    "version: 1\n",
    "project: shop\n",
    "environments:\n",
    "  a:\n",
    "  b: &b\n",
    "    registered: { address: host }\n",
    "    <<: *b\n",
    "    ssh: { port: 22 }\n",
    "    ssh:\n      sudo_password: |\n        x\n",
    "environments: {}\n",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ": ",
    "# c\n",
    "\t",
    "\r\n",
    "\u{feff}",
    "---\n",
    "...\n",
    "~",
    "!x ",
    "&a ",
    "*a ",
    "? ",
    "é",
    "\u{0}",
    "    depends_on: [a, b]\n",
    "    checks: [{ name: x, tcp: 1 }]\n",
    "defaults: { stage: running }\n",
    "\n",
    "  ",
    "identity: ",
    "://a:b@c",
    "    application: { compose: { directory: app, variables: { A: 1 } } }\n",
];

fn pieces() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    proptest::collection::vec(
        prop_oneof![4 => proptest::sample::select(PARTS).prop_map(str::to_owned), 1 => ".{0,6}"],
        0..24,
    )
    .prop_map(|parts| parts.concat())
}

/// Generates a valid manifest in which a few characters are replaced, removed or doubled.
fn mutated() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let whole =
        fs::read_to_string(format!("{}/tests/cases/manifest/valid/whole.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let change = (any::<proptest::sample::Index>(), 0..4_usize, proptest::sample::select(PARTS));
    proptest::collection::vec(change, 1..6).prop_map(move |changes| {
        let mut text: Vec<char> = whole.chars().collect();
        for (at, how, part) in changes {
            let at = at.index(text.len());
            match how {
                0 => drop(text.remove(at)),
                1 => drop(text.splice(at..=at, part.chars())),
                2 => drop(text.splice(at..at, part.chars())),
                _ => text.insert(at, text[at]),
            }
        }
        text.into_iter().collect()
    })
}

/// Asserts the laws for a text: no panic, errors have a place in the text, edits only add.
fn holds(text: &str) {
    if let Err(failures) = parse(text) {
        assert!(!failures.is_empty());
        for failure in &failures {
            if let Some(at) = &failure.location {
                // In YAML, a single carriage return ends a line, too (YAML 1.2.2, section 5.4).
                let lines = text.replace("\r\n", "\n").split(['\n', '\r']).count();
                assert!(at.line >= 1 && at.line <= lines + 1 && at.column >= 1, "{failures:?}");
                if let (Some(span), Some(source)) = (&at.span, &at.source) {
                    assert!(source.get(span.clone()).is_some());
                }
            }
        }
    }
    let new = Name::parse("new").unwrap();
    if let Ok(edited) = edit::add(text, "deployment.yaml", &new, &entry()) {
        let same = |a: &mut dyn Iterator<Item = (u8, u8)>| a.take_while(|(a, b)| a == b).count();
        let before = same(&mut text.bytes().zip(edited.bytes()));
        let after = same(&mut text.bytes().rev().zip(edited.bytes().rev()));
        // The whole text is kept, except for an empty `{}` that the new entry replaces.
        assert!(before + after + 3 >= text.len(), "{text}\n---\n{edited}");
    }
    let _ = edit::set_host_keys(text, &Name::parse("a").unwrap(), &entry().host_key);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in proptest::prelude::any::<String>()) {
        holds(&text);
    }

    #[test]
    fn any_pieces_are_read_or_refused(text in pieces()) {
        holds(&text);
    }

    #[test]
    fn any_mutation_is_read_or_refused(text in mutated()) {
        holds(&text);
    }

    #[test]
    fn any_text_can_be_an_entry(word in "[^\\x00-\\x1f\\x7f]{1,20}", host in "[a-z0-9.:]{1,12}") {
        let application = serde_json::json!({ "compose": { "directory": word } });
        let values = Entry { user: Some(word.clone()), place: Place::Registered(host), application: Some(application), ..entry() };
        for text in ["environments: {}\n", "environments: { a: 1 }\n", "a: 1", "environments:\n  a: {}\n"] {
            edit::add(text, "deployment.yaml", &Name::parse("null").unwrap(), &values).unwrap();
        }
    }
}
