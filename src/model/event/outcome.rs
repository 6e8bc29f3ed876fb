//! How a run ended. Never why: failures say that.

use serde::Serialize;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing was to do.
    Converged,
    /// Something was changed and all is as wanted.
    Changed,
    /// A plan was made and holds steps.
    Planned,
    /// The command did what it says.
    Ok,
    /// It failed.
    Failed,
    /// Some environments failed, others did not.
    Partial,
    /// It was refused before anything changed.
    Refused,
    /// A saved plan was not applied: what it rests on moved.
    Stale,
    /// No host could be reached.
    Unreachable,
    /// The command line or the manifest is wrong.
    Invalid,
    /// Another run works on what it was to work on.
    Busy,
    /// It failed, and what was there before came back.
    RolledBack,
    /// A signal ended it.
    Interrupted,
}

impl Outcome {
    /// Every outcome, in the order of the schema.
    pub const ALL: [Self; 13] = [
        Self::Converged,
        Self::Changed,
        Self::Planned,
        Self::Ok,
        Self::Failed,
        Self::Partial,
        Self::Refused,
        Self::Stale,
        Self::Unreachable,
        Self::Invalid,
        Self::Busy,
        Self::RolledBack,
        Self::Interrupted,
    ];

    /// Its name in events and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Changed => "changed",
            Self::Planned => "planned",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
            Self::RolledBack => "rolled-back",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The end of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ResultView {
    /// The command.
    pub command: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The process's exit code.
    pub exit_code: u8,
}
