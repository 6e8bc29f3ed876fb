//! JSON schema of the manifest, generated from the types that read it. The types and their attributes are its only
//! source.

use super::spec::ManifestSpec;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Returns the schema that `deployer schema` prints.
pub fn schema() -> Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<ManifestSpec>().to_value()
}

/// Returns the text of `schemas/deployment.schema.json`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}
