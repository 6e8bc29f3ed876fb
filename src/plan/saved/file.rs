//! A saved plan as a file. A digest detects damage, and seals detect changes. Each environment's seal covers everything
//! in the file and is made with a key that only root on the environment's host can read: forging a plan takes the key
//! of every host that the plan changes.

use super::SavedPlan;
use crate::model::failure::{Failure, Reason};
use crate::resource::contract::record::DigestKey;
use camino::Utf8Path;
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the file format. Raise the version if an older deployer would misread a plan.
pub const FORMAT: u64 = 1;

/// Largest file that is written or read, in bytes.
pub const LIMIT: u64 = 64 << 20;

/// A saved plan with the seals of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFile {
    /// The plan.
    pub plan: SavedPlan,
    /// Environment → seal. A file of an older deployer has no seals.
    seals: BTreeMap<String, String>,
    /// Digest of the body as in the file, including fields that this version does not know.
    body: blake3::Hash,
}

/// Result of checking an environment's seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// The file is unchanged.
    Whole,
    /// The file was changed after deployer wrote it.
    Broken,
    /// The file has no seal for the environment.
    Missing,
}

impl SavedFile {
    /// Seals a plan with the digest key of each environment's host.
    #[must_use]
    pub fn seal(plan: SavedPlan, keys: &BTreeMap<String, DigestKey>) -> Self {
        let body = hash(&body(&plan));
        let seals = keys.iter().map(|(environment, key)| (environment.clone(), seal(key, environment, &body)));
        Self { seals: seals.collect(), body, plan }
    }

    /// Checks an environment's seal with the digest key of the environment's host.
    #[must_use]
    pub fn check(&self, environment: &str, key: &DigestKey) -> Seal {
        match self.seals.get(environment) {
            Some(found) if *found == seal(key, environment, &self.body) => Seal::Whole,
            Some(_) => Seal::Broken,
            None => Seal::Missing,
        }
    }

    /// Returns the text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let body = body(&self.plan);
        let file = serde_json::json!({
            "format": FORMAT,
            "deployer": env!("CARGO_PKG_VERSION"),
            "digest": short(&hash(&body)),
            "seals": self.seals,
            "body": body,
        });
        format!("{file:#}\n")
    }

    /// Parses the text of a file.
    pub fn parse(text: &str, path: &Utf8Path) -> Result<Self, Failure> {
        let invalid = |message: String| Failure::new(Reason::PlanInvalid, message);
        let damaged = |why: &str| invalid(format!("{path} is not a complete saved plan: {why}"));
        let file: Value = serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
        match file["format"].as_u64() {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => {
                let message = format!("{path} was saved by a newer deployer (format {newer}; this one reads {FORMAT})");
                return Err(invalid(message).hint("Use that version, or make a new plan"));
            }
            _ => return Err(damaged("it names no format")),
        }
        let body = hash(&file["body"]);
        if file["digest"].as_str() != Some(short(&body)).as_deref() {
            return Err(damaged("its digest does not match its content"));
        }
        let plan: SavedPlan =
            serde_json::from_value(file["body"].clone()).map_err(|error| damaged(&error.to_string()))?;
        let seals = file.get("seals").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let seals = serde_json::from_value(seals).map_err(|error| damaged(&error.to_string()))?;
        let unbound = |name: &&String| !plan.environments.contains_key(*name);
        if let Some(name) = plan.plan.steps.iter().map(|step| &step.environment).find(unbound) {
            return Err(damaged(&format!("it does not record what its steps for {name} depend on")));
        }
        Ok(Self { plan, seals, body })
    }
}

fn body(plan: &SavedPlan) -> Value {
    serde_json::to_value(plan).unwrap_or_default()
}

fn hash(body: &Value) -> blake3::Hash {
    blake3::hash(body.to_string().as_bytes())
}

fn short(hash: &blake3::Hash) -> String {
    hash.to_hex()[..32].to_owned()
}

/// Returns the seal of one environment. The prefix of the text separates seals from all other digests made with the
/// host's key.
fn seal(key: &DigestKey, environment: &str, body: &blake3::Hash) -> String {
    let text = format!("deployer saved plan seal v1\0{environment}\0{}", body.to_hex());
    key.digest(blake3::hash(text.as_bytes()).as_bytes())
}
