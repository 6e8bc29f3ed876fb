//! Reads OpenTofu's state: its outputs, its resources, and which of two states is newer. Does not change a state.

use super::model::Outputs;
use serde::Deserialize;
use serde_json::Value;

/// The relevant parts of a state, in the format that OpenTofu and Terraform have used since 0.12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// ID of the state for its whole life. States of different lineages do not replace each other.
    pub lineage: String,
    /// Number that grows with each change.
    pub serial: u64,
    /// Outputs of the root module.
    pub outputs: Outputs,
    /// Managed resources, by address without index.
    pub resources: Vec<String>,
    /// Digest of the whole state.
    pub digest: String,
}

#[derive(Deserialize)]
struct Written {
    version: u64,
    lineage: String,
    serial: u64,
    #[serde(default)]
    outputs: Value,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    module: Option<String>,
    mode: String,
    r#type: String,
    name: String,
    #[serde(default)]
    instances: Vec<Value>,
}

/// Reads a state.
///
/// # Errors
/// The error text without any value of the state, if the input is not a state.
pub fn read(json: &[u8]) -> Result<State, String> {
    let place = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    let written: Written =
        serde_json::from_slice(json).map_err(|error| format!("it is not a state of OpenTofu ({})", place(&error)))?;
    if written.version != 4 {
        return Err(format!("its format is {}, but only 4 is supported", written.version));
    }
    let whole: Value = serde_json::from_slice(json).map_err(|error| place(&error))?;
    let managed = written.resources.iter().filter(|resource| resource.mode == "managed");
    Ok(State {
        outputs: outputs(&written.outputs),
        resources: managed.filter(|resource| !resource.instances.is_empty()).map(address).collect(),
        digest: blake3::hash(whole.to_string().as_bytes()).to_string(),
        lineage: written.lineage,
        serial: written.serial,
    })
}

fn address(resource: &Resource) -> String {
    let module = resource.module.as_ref().map(|module| format!("{module}.")).unwrap_or_default();
    format!("{module}{}.{}", resource.r#type, resource.name)
}

/// Reads outputs in the format of states, `show -json` and `output -json`.
pub fn outputs(written: &Value) -> Outputs {
    let mut outputs = Outputs::default();
    for (name, output) in written.as_object().into_iter().flatten() {
        let sensitive = output.get("sensitive").and_then(Value::as_bool).unwrap_or_default();
        outputs.insert(name, output.get("value").cloned().unwrap_or_default(), sensitive);
    }
    outputs
}

/// Relation between the stored state and a state that a run left in a file because it could not write it to the
/// backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// A newer state, which replaces the stored one.
    Newest,
    /// A state as old as the stored one, or older.
    Old,
    /// A state of other infrastructure.
    Foreign,
}

/// Compares a state that was left in a file with the stored one.
pub fn judge(left: &State, stored: Option<&State>) -> Left {
    match stored {
        None => Left::Newest,
        Some(stored) if stored.lineage != left.lineage => Left::Foreign,
        Some(stored) if left.serial > stored.serial => Left::Newest,
        // A failed write may or may not have been stored. If the serials are equal, the file holds the run's latest
        // state.
        Some(stored) if left.serial == stored.serial && left.digest != stored.digest => Left::Newest,
        Some(_) => Left::Old,
    }
}
