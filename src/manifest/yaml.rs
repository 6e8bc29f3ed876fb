//! Parses YAML text into the typed manifest, within budgets. Follows no reference out of the text.

use super::faults::Report;
use super::spec::ManifestSpec;
use super::syntax;
use serde::de::DeserializeOwned;
use serde_saphyr::{DuplicateKeyPolicy, Options};

/// The largest manifest that is read, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// Returns the reader's options: no legacy booleans, no duplicate keys, no text where YAML reads a number, a bounded
/// size, and a bounded expansion of aliases.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: 2_000_000,
            max_events: 6_000_000,
            max_depth: 64,
            max_aliases: 100_000,
            max_merge_keys: 100_000,
            max_total_scalar_bytes: LARGEST,
            // One anchor with ten thousand aliases is an ordinary manifest; the expansion is limited below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        no_schema: true,
        with_snippet: false,
        emit_comments: false,
        reject_unsupported_tags: true,
    }
}

/// Reads `text` (without a byte order mark) and adds its faults to the report.
pub fn read(text: &str, report: &mut Report) -> Option<ManifestSpec> {
    match serde_saphyr::from_str_with_options::<ManifestSpec>(text, options()) {
        Ok(spec) => Some(spec),
        Err(error) => {
            let (spot, message, hint) = syntax::explain(error.without_snippet(), report.source());
            report.fault(spot, message, hint);
            None
        }
    }
}

/// Reads `text` as a plain value, for comparing the meaning of two texts.
pub fn value<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    let mut options = options();
    options.no_schema = false;
    serde_saphyr::from_str_with_options(text, options)
}
