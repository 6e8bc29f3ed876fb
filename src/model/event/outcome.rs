//! Outcomes of runs. The reasons are in the failures.

use serde::Serialize;

/// Outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// There was nothing to do.
    Converged,
    /// Something was changed, and the environments match the manifest.
    Changed,
    /// A plan was made, and it has steps.
    Planned,
    /// The command succeeded.
    Ok,
    /// The run failed.
    Failed,
    /// Some environments failed, others did not.
    Partial,
    /// The run was refused before anything changed.
    Refused,
    /// A saved plan was not applied because its basis changed.
    Stale,
    /// No host could be reached.
    Unreachable,
    /// The command line or the manifest is wrong.
    Invalid,
    /// Another run has the lease on the same environment.
    Busy,
    /// The run failed, and the previous state was restored.
    RolledBack,
    /// A signal ended the run.
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

    /// Returns the outcome's name in events and in the store.
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
    /// The outcome of the run.
    pub outcome: Outcome,
    /// The process's exit code.
    pub exit_code: u8,
}
