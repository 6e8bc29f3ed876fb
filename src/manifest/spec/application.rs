//! What runs in an environment, as written. Never looks at the application's files.

use super::{Switch, TrackerSpec, ValueSpec};
use crate::manifest::environment::Pull;
use crate::manifest::written::{Given, Written};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What runs there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Application", deny_unknown_fields, default)]
pub struct ApplicationSpec {
    /// Any Docker Compose application.
    pub compose: Given<ComposeSpec>,
    /// The Torrust BitTorrent tracker with what belongs to it.
    pub tracker: Given<TrackerSpec>,
}

impl ApplicationSpec {
    /// Its Compose project and its directory on the host, as far as they are written.
    pub fn placement(&self) -> (Given<String>, Given<String>) {
        let compose = self.compose.value().map(|compose| (compose.project.clone(), compose.host_directory.clone()));
        let tracker = || self.tracker.value().map(|it| (it.project.clone(), it.host_directory.clone()));
        compose.or_else(tracker).unwrap_or_default()
    }
}

/// A Docker Compose application.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Compose", deny_unknown_fields, default)]
pub struct ComposeSpec {
    /// Its directory on this machine; commands that only look read it inside the Git repository of the manifest alone.
    #[schemars(length(min = 1))]
    pub directory: Given<String>,
    /// Compose files, relative to the directory; default: what `docker compose` would find there.
    pub files: Given<Vec<Written<String>>>,
    /// Whether `*.tera` files are rendered before they are sent; default false.
    pub templates: Given<Switch>,
    /// Variables for interpolation and templates; they arrive byte for byte.
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }))]
    pub variables: Given<BTreeMap<Written<String>, Written<ValueSpec>>>,
    /// Image name to archive made by `docker save`: for hosts without a registry.
    pub archives: Given<BTreeMap<Written<String>, Written<String>>>,
    /// Globs of files that are sent once and then belong to the host.
    pub seed: Given<Vec<Written<String>>>,
    /// Links that may lead outside the directory, relative to it; what they lead to is sent. Commands that only look follow
    /// them inside the Git repository of the manifest alone.
    pub links: Given<Vec<Written<String>>>,
    /// Globs of rendered files with secrets that every user in a container may read (0644); by default only their owner
    /// may (0600).
    pub readable: Given<Vec<Written<String>>>,
    /// Services that run once and end, with the new images, before the old containers are stopped: migrations.
    pub before: Given<Vec<Written<String>>>,
    /// When images are pulled: where the host lacks them (`missing`, the default), or also where their registry has
    /// another one under the same tag (`always`).
    pub pull: Given<Pull>,
    /// Compose project name on the host; default `PROJECT--ENVIRONMENT`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9_-]*$"))]
    pub project: Given<String>,
    /// The directory on the host; default `/opt/deployer/PROJECT--ENVIRONMENT`.
    #[schemars(regex(pattern = "^/"))]
    pub host_directory: Given<String>,
}
