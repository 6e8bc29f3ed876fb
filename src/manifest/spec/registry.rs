//! How to log in to a registry of images, as written. Never reads the password.

use super::ValueSpec;
use crate::manifest::written::Given;
use schemars::JsonSchema;
use serde::Deserialize;

/// The login at one registry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Registry", deny_unknown_fields, default)]
#[schemars(extend("required" = ["username", "password"]))]
pub struct RegistrySpec {
    /// The user there.
    #[schemars(length(min = 1))]
    pub username: Given<String>,
    /// The password or token: a secret.
    pub password: Given<ValueSpec>,
}
