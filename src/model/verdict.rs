//! How checks end. Never worded for a screen.

use serde::Serialize;
use std::time::Duration;

/// Where a check is asked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// This machine, as any client.
    Outside,
    /// The host itself, by its shell or through a forwarded port.
    Inside,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The check's name.
    pub name: String,
    /// Where it was asked from.
    pub vantage: Vantage,
    /// How it ended.
    pub judgement: Judgement,
    /// What was found, on one line, sentence case aside; the reason where it was skipped. Never a secret.
    pub detail: String,
    /// How long it took.
    pub took: Duration,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// It works.
    Passed,
    /// It works, and somebody should look at it.
    Warned,
    /// It does not work.
    Failed,
    /// It could not be asked here; the detail says why.
    Skipped,
}

impl Judgement {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Warned, Self::Failed, Self::Skipped];

    /// Its name in events and reports.
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
