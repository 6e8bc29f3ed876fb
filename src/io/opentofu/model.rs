//! OpenTofu's plans and outputs as data. Sensitive values are kept out of everything that can be printed.

use crate::io::scratch::SecretFile;
use crate::model::infrastructure::{AttributeChange, ResourceChange};
use camino::Utf8PathBuf;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Callback for progress messages for people. The messages hold no secrets.
pub type Say<'a> = dyn Fn(String) + Sync + 'a;

/// Purpose of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Creation or change of the infrastructure to match the files.
    Apply,
    /// Destruction of all of the infrastructure.
    Destroy,
}

/// A saved OpenTofu plan and its content.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// Path of the saved plan for OpenTofu. The plan holds secrets.
    pub file: Utf8PathBuf,
    /// The saved plan itself, which ends with this process.
    pub kept: Arc<SecretFile>,
    /// Changes that the plan would make.
    pub changes: Vec<ResourceChange>,
    /// Drift: resources that were changed or removed outside OpenTofu since the last run.
    pub drift: Vec<ResourceChange>,
    /// Outputs before the plan.
    pub outputs: Outputs,
    /// Outputs that the plan would change.
    pub output_changes: Vec<AttributeChange>,
    /// True if the infrastructure exists: the state holds a managed resource.
    pub exists: bool,
    /// True if applying the plan would write anything, including outputs and upkeep of the state itself.
    pub applicable: bool,
    /// OpenTofu's warnings.
    pub warnings: Vec<String>,
    /// Digest of the files and of the names of the variables, without their values.
    pub digest: String,
}

/// A value that is not printed.
#[derive(Clone, PartialEq, Eq)]
struct Hidden(Value);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The outputs of a root module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    shown: BTreeMap<String, Value>,
    hidden: BTreeMap<String, Hidden>,
}

impl Outputs {
    /// Adds an output.
    pub fn insert(&mut self, name: &str, value: Value, sensitive: bool) {
        if sensitive {
            self.hidden.insert(name.to_owned(), Hidden(value));
        } else {
            self.shown.insert(name.to_owned(), value);
        }
    }

    /// Returns an output's value for use, sensitive or not. [`Self::is_sensitive`] reports if it must not be printed.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.shown.get(name).or_else(|| self.hidden.get(name).map(|hidden| &hidden.0))
    }

    /// Returns an output that is text or a number, as text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Returns true if an output must not be printed.
    #[must_use]
    pub fn is_sensitive(&self, name: &str) -> bool {
        self.hidden.contains_key(name)
    }

    /// Returns the outputs that may be printed.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.shown.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the names of the outputs that must not be printed.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        self.hidden.keys().map(String::as_str)
    }
}
