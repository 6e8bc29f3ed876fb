//! Verdicts of checks. Not worded for a screen.

use serde::Serialize;
use std::time::Duration;

/// Vantage point of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// This machine, like any client.
    Outside,
    /// The host itself, through its shell or a forwarded port.
    Inside,
}

/// Result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The check's name.
    pub name: String,
    /// The vantage point of the check.
    pub vantage: Vantage,
    /// The judgement.
    pub judgement: Judgement,
    /// The result that was found, on one line, not necessarily in sentence case. The reason if the check was skipped.
    /// The detail holds no secret.
    pub detail: String,
    /// Duration of the check.
    pub took: Duration,
}

/// Outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// The checked object works.
    Passed,
    /// The checked object works, but somebody should look at it.
    Warned,
    /// The checked object does not work.
    Failed,
    /// The check could not be performed here. The detail gives the reason.
    Skipped,
}

impl Judgement {
    /// Every judgement.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Warned, Self::Failed, Self::Skipped];

    /// Returns the judgement's name in events and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
