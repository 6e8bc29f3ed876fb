//! OpenTofu's warnings and errors, and the failure made from them. Values that OpenTofu or the caller marks as
//! sensitive are not shown.

use crate::model::failure::{Failure, Reason};
use crate::model::secret::Redactor;
use serde::Deserialize;
use std::fmt::Write as _;

/// One warning or error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Diagnostic {
    /// Either `error` or `warning`.
    pub severity: String,
    /// One-line summary.
    pub summary: String,
    /// Explanation in several lines.
    #[serde(default)]
    pub detail: String,
    /// Address of the resource.
    #[serde(default)]
    pub address: Option<String>,
    /// Place in the files.
    #[serde(default)]
    pub range: Option<Range>,
    /// Text at that place.
    #[serde(default)]
    pub snippet: Option<Snippet>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Range {
    /// File name, relative to the root module.
    pub filename: String,
    /// Start position.
    pub start: Position,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Position {
    /// Line number, counted from 1.
    pub line: u64,
}

/// The text that a diagnostic is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Snippet {
    /// The enclosing block (`resource "hcloud_server" "machine"`).
    #[serde(default)]
    pub context: Option<String>,
    /// The source code.
    #[serde(default)]
    pub code: String,
}

impl Diagnostic {
    /// Returns true for an error, which makes the run fail.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }

    /// Returns true if `init` must run to fix the problem.
    #[must_use]
    pub fn wants_init(&self) -> bool {
        const ASKS: [&str; 7] = [
            "Required plugins are not installed",
            "Inconsistent dependency lock file",
            "Backend initialization required",
            "Module not installed",
            "Module source has changed",
            "Module version requirements have changed",
            "Missing required provider",
        ];
        ASKS.iter().any(|ask| self.summary.starts_with(ask))
    }

    /// Returns true if the kept lock file names other versions than the files ask for.
    #[must_use]
    pub fn wants_other_versions(&self) -> bool {
        self.detail.contains("does not match configured version constraint")
    }

    /// Returns the diagnostic as one line, for a warning.
    #[must_use]
    pub fn line(&self, redactor: &Redactor) -> String {
        let address = self.address.as_ref().map(|address| format!("{address}: ")).unwrap_or_default();
        let why = self.detail.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let why = if why.is_empty() { String::new() } else { format!(": {}", why.trim()) };
        redactor.redact(&format!("{address}{}{why}", self.summary.trim_end_matches('.')))
    }

    fn explain(&self) -> String {
        let mut text = self.detail.trim().to_owned();
        if let Some(range) = &self.range {
            let separator = if text.is_empty() { "" } else { "\n" };
            let _ = write!(text, "{separator}  on {} line {}", range.filename, range.start.line);
            if let Some(Snippet { context, code }) = &self.snippet {
                let context = context.as_ref().map(|context| format!(", in {context}")).unwrap_or_default();
                let _ = write!(text, "{context}:\n    {}", code.trim().replace('\n', "\n    "));
            }
        }
        text
    }
}

/// The directories that OpenTofu writes to, for the hint about a full disk.
const DISKS: &str = "the working and temporary directories of OpenTofu";

/// Returns the failure for these errors: the summary of the first error is the message, the other errors are in the
/// details. `what` is the message if there are no errors. `rest` is OpenTofu's other output.
#[must_use]
pub fn failure(what: &str, errors: &[&Diagnostic], rest: &str, redactor: &Redactor) -> Failure {
    let Some((first, others)) = errors.split_first() else {
        let failure = Failure::new(Reason::ProvisionFailed, what).details(redactor.redact(rest));
        return failure.or_disk_of_host(rest, DISKS);
    };
    let address = first.address.as_ref().map(|address| format!("{address}: ")).unwrap_or_default();
    let message = format!("{address}{}", first.summary.trim().trim_end_matches('.'));
    let mut details = first.explain();
    for other in others {
        let address = other.address.as_ref().map(|address| format!("{address}: ")).unwrap_or_default();
        let _ = write!(details, "\n\n{address}{}\n{}", other.summary.trim(), other.explain());
    }
    let failure = Failure::new(reason(errors), redactor.redact(&message)).details(redactor.redact(&details));
    match advice(errors) {
        Some(advice) => failure.hint(advice),
        None if failure.reason == Reason::ProvisionFailed => failure.or_disk_of_host(&details, DISKS),
        None => failure,
    }
}

fn reason(errors: &[&Diagnostic]) -> Reason {
    let any = |text: &str| errors.iter().any(|error| error.summary.contains(text));
    if any("Error acquiring the state lock") {
        Reason::StateLocked
    } else if any("Saved plan is stale") {
        Reason::PlanStale
    } else {
        Reason::ProvisionFailed
    }
}

/// Returns the hint for errors that have a specific one.
fn advice(errors: &[&Diagnostic]) -> Option<&'static str> {
    let any = |text: &str| errors.iter().any(|error| error.summary.contains(text) || error.detail.contains(text));
    [
        ("was not found in any of the search locations", "The mirror in the file of TF_CLI_CONFIG_FILE lacks this provider for this program: tofu searches it below registry.opentofu.org, terraform below registry.terraform.io"),
        ("Failed to query available provider packages", "The provider's registry cannot be reached or does not have that version: check the network of this machine, or name a mirror in the file of TF_CLI_CONFIG_FILE"),
        ("checksums previously recorded", "The provider differs from the one selected first, or was built for another platform: check its source"),
        ("Failed to install provider", "The provider cannot be downloaded: check the network of this machine, or name a mirror in the file of TF_CLI_CONFIG_FILE"),
        ("Error acquiring the state lock", "Wait for the run that holds the lock. If no run is active, deployer unlock ENV shows how to remove the lock"),
        ("deletion is protected", "First run an apply with delete_protection: false and no other change"),
        ("rate_limit_exceeded", "The provider's rate limit was reached: wait a few minutes, then run the same command again"),
        ("resource_unavailable", "The provider has no capacity for this there: choose another location or server type, or try again later"),
        ("uniqueness_error", "A resource with that name already exists and is not in this state: remove or rename it, or adopt it with an import block"),
        ("entry already exists", "A resource with that name already exists, and deployer did not make it: rename or delete it, or rename the environment"),
        ("\" already exists", "A resource with that name already exists, and deployer did not make it: rename or delete it, or rename the environment"),
    ]
    .into_iter()
    .find_map(|(text, advice)| any(text).then_some(advice))
}
