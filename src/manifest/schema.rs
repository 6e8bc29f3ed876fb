//! The JSON schema of the manifest, from the types that read it. Never states a rule the types and
//! their attributes do not.

use super::spec::ManifestSpec;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema, as `deployer schema` prints it.
pub fn schema() -> Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<ManifestSpec>().to_value()
}

/// The text of `schemas/deployment.schema.json`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}
