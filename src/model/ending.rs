//! The end of a command: its outcome and its exit code, derived from its failures, not from its output.

use crate::model::event::Outcome;
use crate::model::failure::{Failure, Reason};
use std::collections::BTreeSet;

/// The exit code if environments failed for different reasons.
const DIFFERENT: u8 = 3;

/// The end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The outcome, for `--json`.
    pub outcome: Outcome,
    /// The exit code, for the shell.
    pub exit_code: u8,
}

impl Ending {
    /// Returns the ending of a command that succeeded.
    #[must_use]
    pub const fn ok(outcome: Outcome) -> Self {
        Self { outcome, exit_code: 0 }
    }

    /// Returns the ending of a run with these failures. `others` is true if something else in the run succeeded.
    #[must_use]
    pub fn of(failures: &[Failure], others: bool) -> Self {
        let exit_code = exit_code(failures);
        let outcome = match exit_code {
            0 => Outcome::Ok,
            130 | 143 => Outcome::Interrupted,
            // In this case nothing was changed anywhere.
            5 => Outcome::Stale,
            _ if others => Outcome::Partial,
            64 => Outcome::Invalid,
            4 => Outcome::Busy,
            6 => Outcome::Refused,
            7 => Outcome::Unreachable,
            _ if failures.iter().any(|failure| failure.reason == Reason::RolledBack) => Outcome::RolledBack,
            _ => Outcome::Failed,
        };
        Self { outcome, exit_code }
    }
}

/// Returns the exit code of a run: the code that all failures share, or else 3; 0 without failures.
///
/// A signal outranks the rest. An environment that failed because of its dependency counts only if nothing else failed:
/// the cause is already counted.
#[must_use]
pub fn exit_code(failures: &[Failure]) -> u8 {
    let reasons: BTreeSet<Reason> = failures.iter().map(|failure| failure.reason).collect();
    if reasons.contains(&Reason::Interrupted) {
        return Reason::Interrupted.exit();
    }
    let causes = reasons.iter().filter(|reason| **reason != Reason::DependencyFailed);
    let codes: BTreeSet<u8> = causes.map(|reason| reason.exit()).collect();
    match codes.len() {
        0 => reasons.first().map_or(0, |reason| reason.exit()),
        1 => codes.first().copied().unwrap_or_default(),
        _ => DIFFERENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(reasons: &[Reason]) -> u8 {
        exit_code(&reasons.iter().map(|reason| Failure::new(*reason, "It failed")).collect::<Vec<_>>())
    }

    #[test]
    fn failures_that_share_a_code_have_it() {
        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[Reason::Unhealthy]), 1);
        assert_eq!(code(&[Reason::Unhealthy, Reason::DiskFull]), 1);
        assert_eq!(code(&[Reason::ConnectionRefused, Reason::HostKeyChanged]), 7);
        assert_eq!(code(&[Reason::ConnectionRefused, Reason::MarkerMismatch]), 3);
        assert_eq!(code(&[Reason::ManifestInvalid, Reason::ManifestInvalid]), 64);
    }

    #[test]
    fn consequences_do_not_count_and_signals_come_first() {
        assert_eq!(code(&[Reason::ConnectionRefused, Reason::DependencyFailed]), 7);
        assert_eq!(code(&[Reason::DependencyFailed]), 1);
        assert_eq!(code(&[Reason::ConnectionRefused, Reason::Interrupted]), 130);
    }

    #[test]
    fn every_code_is_one_of_the_documented_ones() {
        for reason in Reason::ALL {
            assert!([1, 4, 5, 6, 7, 64, 130].contains(&reason.exit()), "{}", reason.code());
        }
    }

    #[test]
    fn outcomes_follow() {
        let of = |reason, others| Ending::of(&[Failure::new(reason, "It failed")], others).outcome;
        assert_eq!(of(Reason::ConsentMissing, false), Outcome::Refused);
        assert_eq!(of(Reason::ConnectionTimeout, false), Outcome::Unreachable);
        assert_eq!(of(Reason::ConnectionTimeout, true), Outcome::Partial);
        assert_eq!(of(Reason::PlanStale, true), Outcome::Stale);
        assert_eq!(of(Reason::Usage, false), Outcome::Invalid);
        assert_eq!(of(Reason::Interrupted, true), Outcome::Interrupted);
    }
}
