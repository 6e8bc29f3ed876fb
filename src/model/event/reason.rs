//! Reasons for steps, with one name each.

use crate::model::state::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Reason why a step is in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum StepReason {
    /// There is nothing of the kind yet.
    Missing,
    /// The manifest asks for other facts.
    Differs,
    /// Nobody asked for the difference.
    Drifted,
    /// Only the change of another kind makes the step necessary.
    Follows(Kind),
    /// The host was not read, so that the step may find no difference.
    Unverified,
    /// The facts are known only after the machine is made.
    Unprovisioned,
    /// The environment or its machine is destroyed.
    Destroyed,
    /// The user asked for an earlier release.
    Rollback,
    /// The user asked for the work itself, not for a change of facts.
    Requested,
}

impl StepReason {
    const FIXED: [Self; 8] = [
        Self::Missing,
        Self::Differs,
        Self::Drifted,
        Self::Unverified,
        Self::Unprovisioned,
        Self::Destroyed,
        Self::Rollback,
        Self::Requested,
    ];

    /// Returns the reason's name in plans and events.
    #[must_use]
    pub fn name(self) -> String {
        let fixed = match self {
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::Drifted => "drifted",
            Self::Follows(leader) => return format!("follows {leader}"),
            Self::Unverified => "unverified",
            Self::Unprovisioned => "known after provision",
            Self::Destroyed => "destroyed",
            Self::Rollback => "rollback",
            Self::Requested => "requested",
        };
        fixed.to_owned()
    }
}

impl fmt::Display for StepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl From<StepReason> for String {
    fn from(reason: StepReason) -> Self {
        reason.name()
    }
}

impl TryFrom<String> for StepReason {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let all = Self::FIXED.into_iter().chain(Kind::ALL.map(Self::Follows));
        all.into_iter().find(|reason| reason.name() == name).ok_or("a step has an unknown reason")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_reads_back_and_other_text_does_not() {
        for name in [
            "missing",
            "differs",
            "drifted",
            "follows files",
            "follows infrastructure",
            "unverified",
            "known after provision",
            "destroyed",
            "rollback",
            "requested",
        ] {
            let reason = StepReason::try_from(name.to_owned()).expect(name);
            assert_eq!(serde_json::to_string(&reason).expect("JSON"), format!("\"{name}\""));
        }
        assert!(serde_json::from_str::<StepReason>("\"follows\"").is_err());
    }
}
