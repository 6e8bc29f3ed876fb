//! Reads the lines that OpenTofu writes with `-json`: what it is doing, and what it complains of. Never decides what
//! becomes of the run.

use super::diagnostic::Diagnostic;
use serde::Deserialize;
use serde_json::Value;

/// What one line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Something goes on, in words for people.
    Progress(String),
    /// A warning or an error.
    Diagnostic(Box<Diagnostic>),
    /// How many resources the operation is about, or was: added, changed, destroyed, imported.
    Summary(Counts),
    /// Nothing that anybody needs.
    Nothing,
    /// No line of that format: a panic, say.
    Other(String),
}

/// A count of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// To be made, or made.
    pub add: u64,
    /// To be changed, or changed.
    pub change: u64,
    /// To be adopted, or adopted.
    pub import: u64,
    /// To be destroyed, or destroyed.
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

/// Reads one line.
#[must_use]
pub fn read(line: &str) -> Said {
    let line = line.trim();
    if line.is_empty() {
        return Said::Nothing;
    }
    // A terminal's log line is no object of ours, and neither is a panic.
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
        // The command itself: its own output is what people wait for.
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
