//! Steps as they begin and end.

use crate::model::state::Kind;
use serde::Serialize;

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// The step began.
    Started,
    /// The step changed something, and the host then matched the desired state.
    Applied,
    /// There was nothing to do.
    Skipped,
    /// The step failed.
    Failed,
    /// The step could not begin because a step that it needs failed.
    Blocked,
}

impl StepState {
    /// Returns the state's name in events and in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Applied => "applied",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }
}

/// Begin or end of a step.
#[derive(Clone, Debug, Serialize)]
pub struct StepView {
    /// The environment.
    pub environment: String,
    /// The kind.
    pub kind: Kind,
    /// The state of the step.
    pub state: StepState,
    /// Duration of the step; `None` until it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}
