//! Login at an image registry, as written. Does not read the password.

use super::ValueSpec;
use crate::manifest::written::Given;
use schemars::JsonSchema;
use serde::Deserialize;

/// Login at one registry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Registry", deny_unknown_fields, default)]
#[schemars(extend("required" = ["username", "password"]))]
pub struct RegistrySpec {
    /// Login name at the registry.
    #[schemars(length(min = 1))]
    pub username: Given<String>,
    /// Password or token, a secret.
    pub password: Given<ValueSpec>,
}
