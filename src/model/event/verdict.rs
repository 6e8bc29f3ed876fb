//! What `deployer test` found out about a stack, check by check. Never holds a secret.

use crate::model::verdict::{Judgement, Vantage, Verdict};
use serde::Serialize;

/// One check of a tracker stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictView {
    /// The environment.
    pub environment: String,
    /// The check's name.
    pub name: String,
    /// Where it was asked from.
    pub vantage: Vantage,
    /// How it ended.
    pub outcome: Judgement,
    /// What was found, or why it was skipped.
    pub detail: String,
    /// How long it took.
    pub duration_ms: u64,
}

impl VerdictView {
    /// A verdict about an environment.
    pub fn new(environment: impl Into<String>, verdict: Verdict) -> Self {
        let Verdict { name, vantage, judgement, detail, took } = verdict;
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { environment: environment.into(), name, vantage, outcome: judgement, detail, duration_ms }
    }
}
