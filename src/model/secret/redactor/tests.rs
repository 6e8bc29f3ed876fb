use super::*;
use data_encoding::BASE64;
use proptest::prelude::*;

fn knowing(secrets: &[&str]) -> Redactor {
    Redactor::new(&secrets.iter().map(|secret| SecretString::from(*secret)).collect::<Vec<_>>())
}

#[test]
fn the_longest_is_hidden_and_so_is_each_line() {
    let redactor = knowing(&["pass", "password1", "abc", "first line\nsecond line\nx\n"]);
    assert_eq!(redactor.redact("password1 pass abc é"), "*** *** abc é");
    assert_eq!(redactor.redact("> second line\n> x"), "> ***\n> x");
    assert_eq!(redactor.redacted("nothing"), None);
    assert_eq!(Redactor::default().redact("pass"), "pass");
    assert!(Redactor::default().is_empty() && knowing(&["abc"]).is_empty());
}

#[test]
fn overlapping_secrets_leave_nothing() {
    let redactor = knowing(&["abcdef", "defghi", "cdef", "ghijkl"]);
    assert_eq!(redactor.redact("-abcdefghijkl-"), "-***-");
    assert_eq!(redactor.redact("-abcdefcdef-"), "-******-");
}

#[test]
fn learned_secrets_are_hidden_from_then_on() {
    let redactor = knowing(&["first one"]);
    assert_eq!(redactor.redact("first one, second one"), "***, second one");
    redactor.learn(&[SecretString::from("second one")]);
    assert_eq!(redactor.redact("first one, second one"), "***, ***");
    assert_eq!(redactor.lines().len(), 2);
}

/// A password that every encoder changes.
const NASTY: &str = "pä$s/w<o>r&d \"'`\\+%=?@:#é!";

#[test]
fn derived_forms_are_hidden() {
    let redactor = knowing(&[NASTY]);
    for form in [
        // serde_json; PHP; Python; Go.
        r#"pä$s/w<o>r&d \"'`\\+%=?@:#é!"#,
        r#"pä$s\/w<o>r&d \"'`\\+%=?@:#é!"#,
        r#"p\u00e4$s/w<o>r&d \"'`\\+%=?@:#\u00e9!"#,
        r#"pä$s/w\u003co\u003er\u0026d \"'`\\+%=?@:#é!"#,
        // JSON within JSON.
        r#"pä$s/w<o>r&d \\\"'`\\\\+%=?@:#é!"#,
        // Rust's NON_ALPHANUMERIC; encodeURIComponent; a form; lower case.
        "p%C3%A4%24s%2Fw%3Co%3Er%26d%20%22%27%60%5C%2B%25%3D%3F%40%3A%23%C3%A9%21",
        "p%C3%A4%24s%2Fw%3Co%3Er%26d%20%22'%60%5C%2B%25%3D%3F%40%3A%23%C3%A9!",
        "p%C3%A4%24s%2Fw%3Co%3Er%26d+%22%27%60%5C%2B%25%3D%3F%40%3A%23%C3%A9%21",
        "p%c3%a4%24s%2fw%3co%3er%26d%20%22%27%60%5c%2b%25%3d%3f%40%3a%23%c3%a9%21",
        // Shells, Compose, YAML, HTML.
        r#"pä$s/w<o>r&d "'\''`\+%=?@:#é!"#,
        r#"pä$s/w<o>r&d "'"'"'`\+%=?@:#é!"#,
        r#"pä$$s/w<o>r&d "'`\+%=?@:#é!"#,
        r#"pä$s/w<o>r&d "''`\+%=?@:#é!"#,
        r#"pä\$s/w<o>r&d \"'`\\+%=?@:#é!"#,
        "pä$s/w&lt;o&gt;r&amp;d &quot;&#39;`\\+%=?@:#é!",
        &data_encoding::HEXUPPER.encode(NASTY.as_bytes()),
    ] {
        assert_eq!(redactor.redact(&format!("<{form}>")), "<***>", "{form}");
    }
}

#[test]
fn base64_is_hidden_wherever_it_begins_and_ends() {
    let redactor = knowing(&["correct horse", "s3cr"]);
    for before in ["", "u", "me", "you", "user:"] {
        for after in ["", "x", "xy", "xyz", "\n"] {
            let whole = BASE64.encode(format!("{before}correct horse{after}").as_bytes());
            let redacted = redactor.redact(&whole);
            assert!(redacted.contains("***"), "{before:?} {after:?} {whole}");
            // At most one character on each side shares bits with the secret.
            let rest = whole.len() - redacted.replace("***", "").len();
            assert!(rest >= "correct horse".len() * 8 / 6 - 2, "{before:?} {after:?} {whole} {redacted}");
        }
    }
    assert_eq!(redactor.redact("Authorization: Basic czNjcg=="), "Authorization: Basic ***");
    assert_eq!(redactor.redact("czNj"), "czNj");
    let twice = BASE64.encode(BASE64.encode(b"user:correct horse").as_bytes());
    let login = knowing(&["correct horse", &BASE64.encode(b"user:correct horse")]);
    assert_eq!(login.redact(&twice), "***");
}

#[test]
fn many_and_long_values_are_hidden_in_bounded_memory() {
    let long = "0123456789abcdef".repeat(1 << 13) + "end";
    let lines = (0..40_000).map(|line| format!("line {line} of a bundle of keys")).collect::<Vec<_>>().join("\n");
    let redactor = knowing(&[&long, &lines, "short secret"]);
    assert_eq!(redactor.redact(&format!("<{long}> short secret")), "<***> ***");
    assert_eq!(redactor.redact("line 39999 of a bundle of keys"), "***");
    let known = redactor.known();
    assert!(known.search.as_ref().is_some_and(|search| search.memory_usage() < 64 << 20));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_form_of_any_secret_stays(secret in "(?s).{8,24}", before in "[a-z:=\"]{0,7}", after in "[a-z \"]{0,7}") {
        let redactor = knowing(&[&secret]);
        let percent = percent_encoding::utf8_percent_encode(&secret, percent_encoding::NON_ALPHANUMERIC).to_string();
        let json = serde_json::json!(secret).to_string();
        for form in [&secret, &json[1..json.len() - 1], &percent] {
            let redacted = redactor.redact(&format!("{before}{form}{after}"));
            prop_assert!(!redacted.contains(form), "{redacted}");
        }
        let encoded = BASE64.encode(format!("{before}{secret}{after}").as_bytes());
        prop_assert!(redactor.redact(&encoded).contains("***"));
    }

    #[test]
    fn other_text_stays_as_it_is(text in "[a-z ]{0,200}") {
        prop_assert_eq!(knowing(&["Correct-Horse_1", "42-42-42"]).redacted(&text), None);
    }
}

#[test]
fn a_secret_that_is_cut_is_hidden_on_both_sides() {
    let secret = "correct-horse-battery-staple-0123456789";
    let redactor = Redactor::new(&[secret.into()]);
    for at in 0..secret.len() {
        // The cut is inside the secret or at one of its ends.
        let text = format!("{}{secret}{}", "a".repeat(50 - at), "b".repeat(300));
        let redacted = redactor.redact(&bounded::shortened(text, 100));
        assert!(!redacted.contains(&secret[..SHORTEST]) || at < SHORTEST, "{at}: {redacted}");
        assert!(redacted.starts_with("aaaaaaaaaa") && redacted.contains(" bytes are left out]\nb"), "{at}: {redacted}");
        let text = format!("{}{secret}{}", "a".repeat(300), "b".repeat(50 - at));
        let redacted = redactor.redact(&bounded::shortened(text, 100));
        assert!(!redacted.contains(&secret[secret.len() - SHORTEST..]) || at < SHORTEST, "{at}: {redacted}");
    }
    let base64 = BASE64.encode(secret.as_bytes());
    let redacted = redactor.redact(&format!("x {}\n[5 bytes are left out]\ny", &base64[..20]));
    assert_eq!(redacted, "x ***\n[5 bytes are left out]\ny");
    for at in SHORTEST..secret.len() {
        let redacted = redactor.redact(&format!("… it said `a{}…`, and more", &secret[..at]));
        assert_eq!(redacted, "… it said `a***…`, and more");
    }
    // A text that only looks similar is not changed.
    assert_eq!(redactor.redact("…cor…battery…"), "…cor…battery…");
    let honest = "a [file] is left out]\n[3 bytes are left out]\nhello";
    assert_eq!(redactor.redact(honest), honest);
    let forged = format!("{secret}{}", "[1 bytes are left out]\n".repeat(200));
    assert_eq!(redactor.redact(&forged), HIDDEN);
}

proptest! {
    #[test]
    fn an_overlap_is_the_longest_end_that_begins_the_word(text in "[ab]{0,12}", word in "[ab]{1,8}") {
        let longest = (0..word.len()).rev().find(|length| text.ends_with(&word[..*length])).unwrap_or_default();
        prop_assert_eq!(overlap(text.bytes(), word.as_bytes()), longest);
    }
}

#[test]
fn a_secret_is_hidden_with_the_colours_inside_it() {
    let redactor = knowing(&["hunter42secret"]);
    for text in ["hunter\u{1b}[36m42\u{1b}[0msecret", "hun\u{200b}ter42sec\rret", "hunter42\u{1b}[2Ksecret"] {
        assert_eq!(redactor.redact(&format!("a {text} b\u{1b}[0m")), "a *** b\u{1b}[0m", "{text:?}");
    }
    assert_eq!(redactor.redact("\u{1b}[31mhunter42secret\u{1b}[0m"), "\u{1b}[31m***\u{1b}[0m");
    assert_eq!(redactor.redacted("\u{1b}[31mhunter 42\u{1b}[0m"), None);
}
