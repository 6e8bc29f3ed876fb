//! What the YAML reader says, in the manifest's words.

use super::written::Spot;
use serde_saphyr::Error;

/// Where, what and what to do.
pub fn explain(error: &Error, _text: &str) -> (Spot, String, String) {
    let spot = error.location().map(Spot::from).unwrap_or_default();
    (spot, format!("{error:?}"), String::new())
}
