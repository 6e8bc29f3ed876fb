//! The JSON schema is up to date, and accepts the same manifests as the reader. Does not cover rules that a schema
//! cannot express.

use super::{cases, expect};
use deployer::manifest;
use std::fs;

#[test]
fn the_schema_is_fresh() {
    let path = format!("{}/schemas/deployment.schema.json", env!("CARGO_MANIFEST_DIR"));
    expect(&path, &manifest::schema_text()).unwrap();
}

/// Returns the schema's verdict on a case, if the case is valid YAML.
fn accepted_by_schema(path: &str) -> Option<bool> {
    let text = fs::read_to_string(path).ok()?;
    let options = serde_saphyr::options! { strict_booleans: true };
    let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let value = serde_saphyr::from_str_with_options(bare, options).ok()?;
    Some(jsonschema::validator_for(&manifest::schema()).unwrap().is_valid(&value))
}

#[test]
fn the_schema_accepts_what_is_valid() {
    for (path, name) in cases("valid") {
        assert_eq!(accepted_by_schema(&format!("{path}.yaml")), Some(true), "{name}");
    }
}

#[test]
fn the_schema_refuses_what_has_the_wrong_form() {
    let forms = "unknown-key unknown-nested-key wrong-type-list wrong-type-scalar wrong-type-number \
        wrong-type-text list-wanted null-environments null-environment null-defaults yes-boolean unknown-choice \
        number-as-text source-typo value-is-a-list missing-top-level top-level state-form version-as-text port-as-text \
        switch-as-text engine configure checks fault-in-defaults host-directories \
        firewall firewall-form";
    for name in forms.split_whitespace() {
        let path = format!("{}/tests/cases/manifest/invalid/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(accepted_by_schema(&path), Some(false), "{name}");
    }
}
