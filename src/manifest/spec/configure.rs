//! Setup of the host in addition to the Docker engine, as written. Does not run a script.

use super::Text;
use crate::manifest::written::Given;
use schemars::JsonSchema;
use serde::Deserialize;

/// Security updates that the host installs by itself (unattended-upgrades).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "SecurityUpdates", deny_unknown_fields, default)]
pub struct SecurityUpdatesSpec {
    /// Time at which the host may restart for an update that needs it, `HH:MM` by the host's clock; default: never.
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub reboot_at: Given<Text>,
}

/// An idempotent step that you write, run as root: exactly one of `run` and `file`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Script", deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "check"], "oneOf" = [{ "required": ["run"] }, { "required": ["file"] }]))]
pub struct ScriptSpec {
    /// Name, unique in the environment.
    #[schemars(regex(pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    pub name: Given<String>,
    /// Shell command that exits 0 if there is nothing to do. It runs each time the host is read, for at most 10 s, and
    /// must change nothing.
    #[schemars(length(min = 1))]
    pub check: Given<String>,
    /// Shell command that makes the change.
    #[schemars(length(min = 1))]
    pub run: Given<String>,
    /// File that makes the change: a program that begins with `#!`, else shell.
    #[schemars(length(min = 1))]
    pub file: Given<String>,
    /// Shell command that undoes the script, run when the script is removed from the manifest or its environment is
    /// destroyed. The host keeps the command from the first run of the script.
    #[schemars(length(min = 1))]
    pub undo: Given<String>,
}

/// A command that the host runs at certain times, as a systemd timer.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Schedule", deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "at", "run"]))]
pub struct ScheduleSpec {
    /// Name, unique in the environment.
    #[schemars(regex(pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    pub name: Given<String>,
    /// Time, in the format of systemd's `OnCalendar`: `Sun 04:00`, `*-*-* 03:30`, `hourly`.
    #[schemars(length(min = 1))]
    pub at: Given<String>,
    /// Shell command, run as root, in the application's directory if there is one.
    #[schemars(length(min = 1))]
    pub run: Given<String>,
}
