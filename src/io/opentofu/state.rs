//! Reads OpenTofu's state: its outputs, whether anything is in it, which one is newer. Never changes it.

use super::model::Outputs;
use serde::Deserialize;
use serde_json::Value;

/// What matters of a state, in the format that OpenTofu and Terraform write since 0.12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Names the state for as long as it lives; another one never follows it.
    pub lineage: String,
    /// Grows with each change.
    pub serial: u64,
    /// The outputs.
    pub outputs: Outputs,
    /// The managed resources that it holds, by address without index.
    pub resources: Vec<String>,
    /// Digest of all of it.
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
/// In words that hold no value of it, where it is none.
pub fn read(json: &[u8]) -> Result<State, String> {
    let place = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    let written: Written =
        serde_json::from_slice(json).map_err(|error| format!("it is no state of OpenTofu ({})", place(&error)))?;
    if written.version != 4 {
        return Err(format!("its format is {}, and 4 is known", written.version));
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

/// Outputs as states, `show -json` and `output -json` write them.
pub fn outputs(written: &Value) -> Outputs {
    let mut outputs = Outputs::default();
    for (name, output) in written.as_object().into_iter().flatten() {
        let sensitive = output.get("sensitive").and_then(Value::as_bool).unwrap_or_default();
        outputs.insert(name, output.get("value").cloned().unwrap_or_default(), sensitive);
    }
    outputs
}

/// What is to be done with a state that a run left in a file because it could not write it where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is the newest: it takes the stored one's place.
    Newest,
    /// What is stored is as new or newer.
    Old,
    /// It is not of the same infrastructure.
    Foreign,
}

/// Judges a state that was left in a file against the stored one.
pub fn judge(left: &State, stored: Option<&State>) -> Left {
    match stored {
        None => Left::Newest,
        Some(stored) if stored.lineage != left.lineage => Left::Foreign,
        Some(stored) if left.serial > stored.serial => Left::Newest,
        // A write that failed may have counted or not: with the same number, what the run knew last is in the file.
        Some(stored) if left.serial == stored.serial && left.digest != stored.digest => Left::Newest,
        Some(_) => Left::Old,
    }
}
