//! What the host is to be set up with beside its engine, as written. Never runs a script.

use super::Text;
use crate::manifest::written::Given;
use schemars::JsonSchema;
use serde::Deserialize;

/// Security updates, installed by the host itself (unattended-upgrades).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "SecurityUpdates", deny_unknown_fields, default)]
pub struct SecurityUpdatesSpec {
    /// When the host may restart for an update that needs it, `HH:MM` of its own clock; default never.
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub reboot_at: Given<Text>,
}

/// An idempotent step of your own, run as root: exactly one of `run` and `file`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Script", deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "check"], "oneOf" = [{ "required": ["run"] }, { "required": ["file"] }]))]
pub struct ScriptSpec {
    /// Its name, unique in the environment.
    #[schemars(regex(pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    pub name: Given<String>,
    /// Shell that exits 0 when nothing is to be done. It runs at every look at the host, for 10 s at most: it must
    /// change nothing.
    #[schemars(length(min = 1))]
    pub check: Given<String>,
    /// Shell that does it.
    #[schemars(length(min = 1))]
    pub run: Given<String>,
    /// File that does it: a program that begins with `#!`, else shell.
    #[schemars(length(min = 1))]
    pub file: Given<String>,
    /// Shell that takes it back when the script leaves the manifest or its environment is destroyed. The host keeps
    /// it from the moment the script first ran there.
    #[schemars(length(min = 1))]
    pub undo: Given<String>,
}

/// Something the host does at certain times: a systemd timer.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Schedule", deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "at", "run"]))]
pub struct ScheduleSpec {
    /// Its name, unique in the environment.
    #[schemars(regex(pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    pub name: Given<String>,
    /// When, as systemd's `OnCalendar` says it: `Sun 04:00`, `*-*-* 03:30`, `hourly`.
    #[schemars(length(min = 1))]
    pub at: Given<String>,
    /// Shell that does it, as root, in the application's directory where there is one.
    #[schemars(length(min = 1))]
    pub run: Given<String>,
}
