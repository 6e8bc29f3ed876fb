//! Words the errors of the YAML reader for users. Does not repeat a value that could be a secret.

use super::around::Around;
use super::rules::{capitalised, shown};
use super::suggest;
use super::written::Spot;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, Location, MessageFormatter, UserMessageFormatter};

/// Returns the position, the message and the hint; `text` is the masked text.
pub fn explain(error: &Error, text: &str) -> (Spot, String, String) {
    let inner = match error {
        Error::AliasError { error, .. } => error.without_snippet(),
        plain => plain,
    };
    // A wrong value is fixed where it is written; an expansion that is too large, where the alias is.
    let written = !matches!(inner, Error::AliasReplayLimitExceeded { .. } | Error::Budget { .. });
    let place = inner.location().filter(|_| written).or_else(|| error.location());
    let spot = place.map(|place| with_bytes(place, text)).unwrap_or_default();
    let (message, hint) = worded(inner, Around { text, spot });
    (spot, message, hint)
}

/// Converts a location to a spot. Computes the first byte if the reader left it out.
fn with_bytes(location: Location, text: &str) -> Spot {
    let mut spot = Spot::from(location);
    if location.span().byte_offset().is_none() && spot.line > 0 {
        spot.start = u32::try_from(offset(text, spot)).unwrap_or(u32::MAX);
    }
    // The reader places a missing value at the colon after its key.
    if spot.length == 0 && text.get(spot.start as usize..).is_some_and(|rest| rest.starts_with(':')) {
        spot.start += 1;
        spot.column += 1;
    }
    spot
}

fn offset(text: &str, spot: Spot) -> usize {
    let line = text.split_inclusive('\n').take(spot.line as usize - 1).map(str::len).sum::<usize>();
    let column = text[line..].chars().take(spot.column as usize - 1).map(char::len_utf8).sum::<usize>();
    line + column
}

fn worded(error: &Error, around: Around<'_>) -> (String, String) {
    match error {
        Error::Unexpected { expected, .. } => around.mismatch(kind_expected(expected)),
        Error::NullIntoString { .. } => around.mismatch("text"),
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            let found = kind_found(unexpected);
            (format!("{} must be {expected}, not {found}", around.own_key()), format!("Write {expected}"))
        }
        Error::QuotingRequired { value, .. } => (
            format!("YAML reads `{}` as a number, true, false or nothing; text is expected here", shown(value)),
            format!("Quote it: \"{}\"", shown(value)),
        ),
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("Unknown key `{}`", shown(field)), suggest::hint(field, expected, "keys"))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("{} cannot be `{}`", around.subject(), shown(variant)), suggest::hint(variant, expected, "values"))
        }
        Error::DuplicateMappingKey { key, .. } => (
            key.as_ref()
                .map_or("A key is given twice".into(), |key| format!("The key `{}` is given twice", shown(key))),
            "Keep one of the two".into(),
        ),
        Error::Budget { breach, .. } => too_much(breach),
        Error::ExternalMessage { msg, .. } => scanner(msg),
        other => rest(other, around),
    }
}

fn rest(error: &Error, around: Around<'_>) -> (String, String) {
    let (message, hint) = match error {
        Error::MultipleDocuments { .. } => {
            ("The file contains more than one YAML document", "Remove the second `---` and what follows it")
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            ("The aliases expand to too much", "Use fewer aliases, or put what is common into `defaults`")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("The alias refers to something that contains the alias itself", "Refer to something before it")
        }
        Error::UnknownAnchor { .. } => {
            let message = format!("There is no anchor for `{}`", around.word());
            return (message, "Write `&NAME` at an earlier value".into());
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            ("`<<` merges mappings only", "Give it an alias of a mapping, or a list of such aliases")
        }
        Error::UnsupportedTag { tag, .. } => {
            let message = format!("The tag `{}` is not known", shown(tag));
            return (message, "Remove it; a value from elsewhere is written { from_env: NAME }".into());
        }
        Error::Eof { .. } => ("The manifest ends too early", "Complete it"),
        other => {
            let message = UserMessageFormatter.format_message(other);
            return (capitalised(&message), "Fix the line shown; deployer schema lists the accepted keys".into());
        }
    };
    (message.into(), hint.into())
}

fn too_much(breach: &BudgetBreach) -> (String, String) {
    let message = match breach {
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            "The manifest contains more than two million values"
        }
        BudgetBreach::Depth { .. } => "The manifest is nested too deeply",
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::MergeKeys { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => "The manifest has too many anchors and aliases",
        _ => "The manifest is too large",
    };
    (message.into(), "Split it into several projects, or put what is common into `defaults`".into())
}

/// Words messages of the scanner, the common ones more plainly.
fn scanner(message: &str) -> (String, String) {
    const PLAIN: &[(&str, &str, &str)] = &[
        ("tabs disallowed", "A tab indents this line", "YAML is indented with spaces only"),
        ("mapping values are not allowed", "A `:` is not allowed here", "Quote the value if the colon belongs to it"),
        ("did not find expected key", "The indentation does not fit the lines before", "Align it with its neighbours"),
        ("unclosed quote", "The quote is never closed", "Add the closing quote"),
        ("unclosed bracket", "The bracket is never closed", "Add the closing bracket"),
    ];
    let plain = PLAIN.iter().find(|(start, ..)| message.contains(start));
    plain.map_or_else(
        || {
            (
                format!("This is not YAML: {}", message.trim_end_matches('.')),
                "Fix the line shown; deployer schema lists the accepted keys".into(),
            )
        },
        |(_, message, hint)| ((*message).into(), (*hint).into()),
    )
}

fn kind_expected(expected: &str) -> &str {
    match expected {
        "mapping start" => "a mapping",
        "sequence start" => "a list",
        "string scalar" => "text",
        other => other,
    }
}

fn kind_found(unexpected: &str) -> &'static str {
    match unexpected.split([' ', '`']).next().unwrap_or_default() {
        "sequence" => "a list",
        "map" => "a mapping",
        "unit" | "null" | "Option" => "nothing",
        _ => "this",
    }
}
