//! The last health check that Docker ran in a container: its exit code and its output.

use crate::model::checked::ContainerId;
use crate::model::shell::quote;
use serde::Deserialize;

/// Docker keeps this much of the output of one check (bytes).
const KEPT: usize = 4096;
/// The maximum size of the check as JSON (bytes): each byte of the output may be written as six.
const LARGEST: usize = 8 * KEPT;

/// A health check that ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HealthCheck {
    /// The exit code; -1 if the check did not end in time.
    #[serde(rename = "ExitCode")]
    pub code: i32,
    /// The output, standard error included.
    #[serde(rename = "Output")]
    output: String,
}

/// Returns shell that prints the last health check of a container as one line of JSON, or nothing if there was none.
#[must_use]
pub fn last(container: &ContainerId) -> String {
    let template = "{{with .State.Health}}{{range .Log}}{{json .}}{{println}}{{end}}{{end}}";
    let inspect = format!("docker inspect --format '{template}' {}", quote(container));
    format!("timeout -k 1 20 {inspect} </dev/null | sed '/^$/d' | tail -n 1 | head -c {LARGEST}\n")
}

/// Reads the output of [`last`]. Returns `None` if it is no health check.
#[must_use]
pub fn parse(output: &[u8]) -> Option<HealthCheck> {
    serde_json::from_slice(output).ok()
}

impl HealthCheck {
    /// Returns the output without a line that Docker cut off: half of a secret would not be redacted.
    #[must_use]
    pub fn output(&self) -> &str {
        let whole = self.output.len() < KEPT;
        let end = if whole { self.output.len() } else { self.output.rfind('\n').unwrap_or(0) };
        self.output[..end].trim_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str) -> HealthCheck {
        let said = serde_json::json!({ "Start": "x", "End": "y", "ExitCode": 1, "Output": output }).to_string() + "\n";
        parse(said.as_bytes()).expect("a check")
    }

    #[test]
    fn the_exit_code_and_the_output_are_read() {
        let said = check("health says no\n");
        assert_eq!((said.code, said.output()), (1, "health says no"));
        for other in
            ["", "null", "[]", "{}", "{\"ExitCode\":1}", "{\"ExitCode\":\"1\",\"Output\":\"\"}", "template: error"]
        {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        let cut = format!("whole\nhalf of a secret {}...", "x".repeat(KEPT));
        assert_eq!(check(&cut).output(), "whole");
        assert_eq!(check(&"x".repeat(KEPT)).output(), "");
    }
}
