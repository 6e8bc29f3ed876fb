//! What OpenTofu complains of, and the failure that becomes of it. Never shows a value that OpenTofu or the caller
//! marks as sensitive.

use crate::model::failure::{Failure, Reason};
use crate::model::secret::Redactor;
use serde::Deserialize;
use std::fmt::Write as _;

/// One warning or error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Diagnostic {
    /// `error` or `warning`.
    pub severity: String,
    /// What, in one line.
    pub summary: String,
    /// Why, in several.
    #[serde(default)]
    pub detail: String,
    /// The resource.
    #[serde(default)]
    pub address: Option<String>,
    /// Where in the files.
    #[serde(default)]
    pub range: Option<Range>,
    /// The text there.
    #[serde(default)]
    pub snippet: Option<Snippet>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Range {
    /// The file, relative to the root module.
    pub filename: String,
    /// Where it begins.
    pub start: Position,
}

/// A line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Position {
    /// The line.
    pub line: u64,
}

/// The text that a diagnostic is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Snippet {
    /// The block around it (`resource "hcloud_server" "machine"`).
    #[serde(default)]
    pub context: Option<String>,
    /// The text itself.
    #[serde(default)]
    pub code: String,
}

impl Diagnostic {
    /// Whether it made the run fail.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }

    /// Whether `init` has to run for it to go away.
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

    /// Whether the kept lock file names other versions than the files ask for.
    #[must_use]
    pub fn wants_other_versions(&self) -> bool {
        self.detail.contains("does not match configured version constraint")
    }

    /// In one line, for a warning.
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

/// Where OpenTofu writes, for advice.
const DISKS: &str = "the working and temporary directories of OpenTofu";

/// The failure that these errors are: the first one's summary is its message, the others follow in the details.
/// `what` failed, for where there is none. `rest` is what OpenTofu said beside them.
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

/// What to do about errors that have an advice of their own.
fn advice(errors: &[&Diagnostic]) -> Option<&'static str> {
    let any = |text: &str| errors.iter().any(|error| error.summary.contains(text) || error.detail.contains(text));
    [
        ("was not found in any of the search locations", "The mirror that the file of TF_CLI_CONFIG_FILE names has no such provider for this program: tofu looks below registry.opentofu.org there, terraform below registry.terraform.io"),
        ("Failed to query available provider packages", "The provider's registry cannot be reached or does not have that version: check the network of this machine, or name a mirror in the file of TF_CLI_CONFIG_FILE"),
        ("checksums previously recorded", "The provider here is not the one that was chosen first, or is for another kind of machine: check where it comes from"),
        ("Failed to install provider", "The provider cannot be downloaded: check the network of this machine, or name a mirror in the file of TF_CLI_CONFIG_FILE"),
        ("Error acquiring the state lock", "Wait for whoever has it; where nobody works there any more, deployer unlock ENV says how its backend is told"),
        ("deletion is protected", "Lift it first, by an apply with delete_protection: false and no other change"),
        ("rate_limit_exceeded", "The provider limits how often it is asked: wait a few minutes, then run the same command again"),
        ("resource_unavailable", "The provider has none of these left there: choose another location or server type, or try again later"),
        ("uniqueness_error", "Something of that name exists already and is not of this state: remove or rename it, or adopt it with an import block"),
        ("entry already exists", "Something of that name exists already and deployer did not make it: rename or delete it, or rename the environment"),
        ("\" already exists", "Something of that name exists already and deployer did not make it: rename or delete it, or rename the environment"),
    ]
    .into_iter()
    .find_map(|(text, advice)| any(text).then_some(advice))
}
