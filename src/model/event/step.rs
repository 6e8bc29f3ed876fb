//! Steps as they begin and end. Never says how they do it.

use crate::model::state::Kind;
use serde::Serialize;

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It began.
    Started,
    /// It changed something and the host then was as desired.
    Applied,
    /// Nothing was to do.
    Skipped,
    /// It failed.
    Failed,
    /// It could not begin, since what it needs failed.
    Blocked,
}

/// A step began or ended.
#[derive(Clone, Debug, Serialize)]
pub struct StepView {
    /// The environment.
    pub environment: String,
    /// The kind.
    pub kind: Kind,
    /// Where it is.
    pub state: StepState,
    /// How long it took, at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}
