//! The top level of the manifest. Deserialized by hand because keys that begin with `x-` are ignored; serde's `flatten`
//! would lose every position below it.

use super::{EnvironmentSpec, RegistrySpec, ValueSpec, Whole};
use crate::manifest::written::{Given, Written};
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// The environments of one project, with their SSH access, setup and checks.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(
    rename = "deployment.yaml",
    deny_unknown_fields,
    default,
    extend("required" = ["version", "project"], "patternProperties" = { "^x-": true })
)]
pub struct ManifestSpec {
    /// Format version of this file: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: Given<Whole>,
    /// Name of the project. The names of project and environment identify the environment on its host.
    #[schemars(regex(pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    pub project: Given<String>,
    /// Store for observed state and history; default `sqlite:.deployer/state.db`.
    #[schemars(regex(pattern = "^sqlite:.+$"))]
    pub state: Given<String>,
    /// Passphrase that encrypts OpenTofu's state in the state store; default: a key next to the store's file.
    pub state_passphrase: Given<ValueSpec>,
    /// Logins at image registries, by host (`ghcr.io`, `127.0.0.1:5000`); used only while images are pulled.
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z0-9.\\[\\]:-]+$" }))]
    pub registries: Given<BTreeMap<Written<String>, Written<RegistrySpec>>>,
    /// Defaults of every environment: maps merge, lists and scalars replace.
    pub defaults: Given<EnvironmentSpec>,
    /// Environments, by name.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$" }))]
    pub environments: Given<BTreeMap<Written<String>, Written<EnvironmentSpec>>>,
    /// True if the file has no keys.
    #[schemars(skip)]
    pub empty: bool,
}

const KEYS: &[&str] = &["version", "project", "state", "state_passphrase", "registries", "defaults", "environments"];

impl<'de> Deserialize<'de> for ManifestSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("deployment.yaml", KEYS, TopLevel)
    }
}

struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = ManifestSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping with version, project and environments")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ManifestSpec, A::Error> {
        let mut spec = ManifestSpec { empty: true, ..ManifestSpec::default() };
        while let Some(key) = map.next_key::<String>()? {
            spec.empty = false;
            match key.as_str() {
                "version" => spec.version = map.next_value()?,
                "project" => spec.project = map.next_value()?,
                "state" => spec.state = map.next_value()?,
                "state_passphrase" => spec.state_passphrase = map.next_value()?,
                "registries" => spec.registries = map.next_value()?,
                "defaults" => spec.defaults = map.next_value()?,
                "environments" => spec.environments = map.next_value()?,
                ignored if ignored.starts_with("x-") => {
                    map.next_value::<IgnoredAny>()?;
                }
                unknown => return Err(A::Error::unknown_field(unknown, KEYS)),
            }
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest::spec::root::{KEYS, ManifestSpec};

    #[test]
    fn the_reader_and_the_schema_know_the_same_keys() {
        let schema = schemars::schema_for!(ManifestSpec);
        let properties = schema.get("properties").and_then(|it| it.as_object()).expect("the schema has properties");
        let mut keys = KEYS.to_vec();
        keys.sort_unstable();
        assert_eq!(properties.keys().collect::<Vec<_>>(), keys);
    }
}
