//! Application of an environment, as written. Does not read the application's files.

use super::{Switch, TrackerSpec, ValueSpec};
use crate::manifest::environment::Pull;
use crate::manifest::written::{Given, Written};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Application of an environment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Application", deny_unknown_fields, default)]
pub struct ApplicationSpec {
    /// A Docker Compose application.
    pub compose: Given<ComposeSpec>,
    /// The Torrust BitTorrent tracker with its supporting services.
    pub tracker: Given<TrackerSpec>,
}

impl ApplicationSpec {
    /// Returns the Compose project and the directory on the host, if they are written.
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
    /// Directory of the application on this machine. Read-only commands read it only inside the Git repository of the
    /// manifest.
    #[schemars(length(min = 1))]
    pub directory: Given<String>,
    /// Compose files, relative to the directory; default: the files that `docker compose` finds there.
    pub files: Given<Vec<Written<String>>>,
    /// True to render `*.tera` files before they are sent; default false.
    pub templates: Given<Switch>,
    /// Variables for interpolation and templates. Values are passed on byte for byte.
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }))]
    pub variables: Given<BTreeMap<Written<String>, Written<ValueSpec>>>,
    /// Image name to archive made by `docker save`, for hosts without a registry.
    pub archives: Given<BTreeMap<Written<String>, Written<String>>>,
    /// Globs of files that are sent once and then belong to the host.
    pub seed: Given<Vec<Written<String>>>,
    /// Links that may lead outside the directory, relative to it; their targets are sent. Read-only commands follow
    /// them only inside the Git repository of the manifest.
    pub links: Given<Vec<Written<String>>>,
    /// Globs of rendered files with secrets that every user in a container may read (0644); by default only the files'
    /// owner may (0600).
    pub readable: Given<Vec<Written<String>>>,
    /// Services, such as migrations, that run once and end, with the new images, before the old containers are stopped.
    pub before: Given<Vec<Written<String>>>,
    /// Condition for pulling images: the host lacks the image (`missing`, the default), or also the registry has
    /// another image with the same tag (`always`).
    pub pull: Given<Pull>,
    /// Compose project name on the host; default `PROJECT--ENVIRONMENT`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9_-]*$"))]
    pub project: Given<String>,
    /// Directory on the host; default `/opt/deployer/PROJECT--ENVIRONMENT`.
    #[schemars(regex(pattern = "^/"))]
    pub host_directory: Given<String>,
}
