//! How one attempt at a check ends.

use crate::model::verdict::Judgement;

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
