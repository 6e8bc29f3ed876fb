//! Verdicts of `deployer test` on a tracker stack, check by check. Verdicts hold no secret.

use crate::model::verdict::{Judgement, Vantage, Verdict};
use serde::Serialize;

/// One check of a tracker stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictView {
    /// The environment.
    pub environment: String,
    /// The check's name.
    pub name: String,
    /// The vantage point of the check.
    pub vantage: Vantage,
    /// The judgement.
    pub outcome: Judgement,
    /// The result that was found, or the reason why the check was skipped.
    pub detail: String,
    /// Duration of the check.
    pub duration_ms: u64,
}

impl VerdictView {
    /// Returns a view of a verdict about an environment.
    pub fn new(environment: impl Into<String>, verdict: Verdict) -> Self {
        let Verdict { name, vantage, judgement, detail, took } = verdict;
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { environment: environment.into(), name, vantage, outcome: judgement, detail, duration_ms }
    }
}
