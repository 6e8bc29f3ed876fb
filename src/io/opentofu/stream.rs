//! Parses the lines that OpenTofu prints with `-json`: progress and diagnostics. Does not decide about the result of
//! the run.

use super::diagnostic::Diagnostic;
use serde::Deserialize;
use serde_json::Value;

/// Content of one line.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Progress, in words for people.
    Progress(String),
    /// A warning or an error.
    Diagnostic(Box<Diagnostic>),
    /// Number of resources that the operation affects or affected: added, changed, destroyed, imported.
    Summary(Counts),
    /// A line without relevant information.
    Nothing,
    /// A line in another format, such as a panic.
    Other(String),
}

/// Counts of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Resources to create, or created.
    pub add: u64,
    /// Resources to change, or changed.
    pub change: u64,
    /// Resources to adopt, or adopted.
    pub import: u64,
    /// Resources to destroy, or destroyed.
    pub remove: u64,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    r#type: String,
    #[serde(rename = "@message", default)]
    message: String,
    #[serde(default)]
    hook: Hook,
    #[serde(default)]
    diagnostic: Option<Diagnostic>,
    #[serde(default)]
    changes: Option<Counts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hook {
    resource: Resource,
    action: String,
    elapsed_seconds: f64,
    output: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    addr: String,
}

/// Parses one line.
#[must_use]
pub fn read(line: &str) -> Said {
    let line = line.trim();
    if line.is_empty() {
        return Said::Nothing;
    }
    // Log lines for a terminal and panics are not JSON objects.
    let Ok(value) = serde_json::from_str::<Value>(line) else { return Said::Other(line.to_owned()) };
    let Ok(read) = serde_json::from_value::<Line>(value) else { return Said::Other(line.to_owned()) };
    let address = &read.hook.resource.addr;
    match read.r#type.as_str() {
        "diagnostic" => read.diagnostic.map_or(Said::Nothing, |found| Said::Diagnostic(Box::new(found))),
        "change_summary" => read.changes.map_or(Said::Nothing, Said::Summary),
        "refresh_start" => Said::Progress(format!("{address}: reading")),
        "apply_start" => Said::Progress(format!("{address}: {}", doing(&read.hook.action))),
        "apply_progress" => {
            Said::Progress(format!("{address}: {} ({:.0} s)", doing(&read.hook.action), read.hook.elapsed_seconds))
        }
        "apply_complete" => {
            Said::Progress(format!("{address}: {} in {:.0} s", done(&read.hook.action), read.hook.elapsed_seconds))
        }
        "apply_errored" => Said::Progress(format!("{address}: failed after {:.0} s", read.hook.elapsed_seconds)),
        // Skip the line that shows the command. Users need its output.
        "provision_progress" if read.hook.output.starts_with("Executing: [") => Said::Nothing,
        "provision_progress" => Said::Progress(format!("{address}: {}", read.hook.output.trim_end())),
        "init_output" | "log" => Said::Progress(read.message),
        "" => Said::Other(line.to_owned()),
        _ => Said::Nothing,
    }
}

fn doing(action: &str) -> &str {
    match action {
        "create" => "creating",
        "update" => "changing",
        "delete" => "destroying",
        "replace" => "replacing",
        "read" => "reading",
        "import" => "adopting",
        other => other,
    }
}

fn done(action: &str) -> &str {
    match action {
        "create" => "created",
        "update" => "changed",
        "delete" => "destroyed",
        "replace" => "replaced",
        "read" => "read",
        "import" => "adopted",
        other => other,
    }
}
