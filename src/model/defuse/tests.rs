use super::*;
use crate::model::hostile::{ESCAPE, acting, hostile, taken};
use proptest::prelude::*;

#[test]
fn nothing_that_acts_on_a_terminal_gets_through() {
    for (foreign, text) in [
        ("a\u{1b}]0;title\u{7}b\u{9b}31m\tc\nd", "a\\u{1b}]0;title\\u{7}b\\u{9b}31m\tc\nd"),
        ("safe\u{202e}exe.txt \u{61c}\u{200b}x", "safe\\u{202e}exe.txt \\u{61c}\\u{200b}x"),
        ("100 %\rdone\r\r\nnext\r", "100 %\\rdone\nnext"),
        ("a\u{2028}b\u{85}c\u{b}d\u{7f}", "a\\u{2028}b\\u{85}c\\u{b}d\\u{7f}"),
        ("Grüße, 世界 👩\u{200d}💻 ❤\u{fe0f}", "Grüße, 世界 👩\u{200d}💻 ❤\u{fe0f}"),
        ("adm\u{200d}in\u{fe0f}", "adm\\u{200d}in\\u{fe0f}"),
    ] {
        assert_eq!(controls(foreign), text);
    }
    assert_eq!(line("a\nb\tc\r\n"), "a\\nb\\tc\\n");
    assert_eq!(said("\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J \u{1b}[38;5;9"), "red \\u{1b}[2J \\u{1b}[38;5;9");
}

#[test]
fn only_our_own_styles_stay_and_only_where_there_are_styles() {
    let text = "\u{1b}[1mbold\u{1b}[0m \u{1b}[38;5;10mgreen\u{1b}[39m";
    assert_eq!(whole(text, true), text);
    assert!(!whole(text, false).contains('\u{1b}'));
    for hiding in ["\u{1b}[8m", "\u{1b}[30m", "\u{1b}[40m", "\u{1b}[38;5;0m", "\u{1b}[7m", "\u{1b}[31;5m", "\u{1b}[2J"]
    {
        assert!(!whole(hiding, true).contains('\u{1b}'), "{hiding:?}");
    }
}

#[test]
fn nothing_is_a_command() {
    for (text, safe) in [
        ("a::b\n  ::add-mask::x\n+ ::y\n", "a::b\n  \\::add-mask::x\n+ ::y\n"),
        ("##[error]z ###[group]", "##\\[error]z ###\\[group]"),
        ("##vso[task.setvariable]1 ## [x] ##a", "##\\vso[task.setvariable]1 ## [x] ##a"),
        ("\u{3000}\u{200d}::x", "\u{3000}\u{200d}\\::x"),
        ("\u{1b}[31m ::x\u{1b}[0m", "\u{1b}[31m \\::x\u{1b}[0m"),
        ("section_start:1:a\r\u{1b}[0Ksection_end:", "section_start\\:1:a\\r\\u{1b}[0Ksection_end:"),
        ("one\r::two", "one\\r::two"),
        ("::1", "\\::1"),
    ] {
        assert_eq!(whole(text, true), safe);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn foreign_output_stays_text(foreign in hostile(), styled in any::<bool>()) {
        for text in [whole(&foreign, styled), whole(&said(&foreign), styled), whole(&controls(&foreign), styled)] {
            prop_assert_eq!(taken(&text), Vec::<String>::new(), "{:?}", text);
            prop_assert_eq!(acting(&text), Vec::<char>::new(), "{:?}", text);
            prop_assert!(styled || !text.contains(ESCAPE));
            prop_assert!(!text.contains("section_start:1") && !text.contains("section_end:1"));
            prop_assert_eq!(whole(&text, styled), text.clone(), "it is safe already");
        }
        prop_assert!(!controls(&foreign).contains(ESCAPE) && !said(&foreign).contains(ESCAPE));
    }

    #[test]
    fn plain_text_stays_as_it_is(text in "[a-zA-Z0-9 .,éß世-]{0,40}") {
        prop_assert_eq!(whole(&text, false), text);
    }
}
