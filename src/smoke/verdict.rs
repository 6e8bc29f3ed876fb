//! The result of one attempt at a check.

use crate::model::verdict::Judgement;

/// The result of an attempt.
pub(crate) type Found = Result<Note, Trouble>;

/// A passed check: its text, and whether it is a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(super) judgement: Judgement,
    pub(super) detail: String,
}

/// A failed check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) detail: String,
    /// True if a retry may help.
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
    /// Returns a temporary failure, such as a starting service or a slow network.
    pub(super) fn passing(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), again: true }
    }

    /// Returns a failure that lasts until somebody fixes the cause.
    pub(super) fn lasting(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), again: false }
    }
}
