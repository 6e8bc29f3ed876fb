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

/// What an attempt found where it works.
pub(crate) type Found = Result<Note, Trouble>;

/// It works: with what to say, and whether somebody should look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(super) judgement: Judgement,
    pub(super) detail: String,
}

/// It does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(super) detail: String,
    /// Whether asking again may help.
    pub(super) again: bool,
}

impl Note {
    pub(super) fn passed(detail: impl Into<String>) -> Self {
        Self { judgement: Judgement::Passed, detail: detail.into() }
    }

    pub(super) fn warned(detail: impl Into<String>) -> Self {
        Self { judgement: Judgement::Warned, detail: detail.into() }
    }
}

impl Trouble {
    /// For what may pass: something starts, a network is slow.
    pub(super) fn passing(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), again: true }
    }

    /// For what stays until somebody changes it.
    pub(super) fn lasting(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), again: false }
    }
}
