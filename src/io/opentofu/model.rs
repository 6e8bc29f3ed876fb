//! What OpenTofu means to change, and what it made, as data. Never holds a sensitive value where it could be printed.

use crate::io::scratch::SecretFile;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Told what goes on, in words for people, secrets taken out.
pub type Say<'a> = dyn Fn(String) + Sync + 'a;

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The infrastructure is to be as the files say.
    Apply,
    /// All of it is to go.
    Destroy,
}

/// What is to be done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is destroyed and made anew, in either order.
    Replace,
    /// It is destroyed.
    Delete,
    /// It exists already and is adopted, perhaps changed in place too.
    Import,
    /// The state forgets it, and it stays.
    Forget,
}

/// One attribute after the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planned {
    /// It will have this value; empty where it is sensitive.
    Known(String),
    /// Only the provider will tell.
    Unknown,
    /// It will have none.
    Absent,
}

/// One attribute that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Its path (`device[0].properties.size`).
    pub path: String,
    /// Its value now; `None` where it has none, or is sensitive.
    pub from: Option<String>,
    /// Its value after.
    pub to: Planned,
    /// Whether its values are not to be seen.
    pub sensitive: bool,
}

/// One resource that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceChange {
    /// Its address (`module.disk.hcloud_volume.data[0]`).
    pub address: String,
    /// Its type.
    pub r#type: String,
    /// Its name in the files.
    pub name: String,
    /// What is to be done.
    pub action: Action,
    /// What changes; nothing where it is destroyed or forgotten.
    pub attributes: Vec<AttributeChange>,
    /// Why it is replaced: the attributes that force it, or `tainted`, `requested`, `triggered`.
    pub because: Vec<String>,
}

/// What OpenTofu proposes: a saved plan of its own, and what is in it.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// Where OpenTofu finds the saved plan. It holds secrets.
    pub file: Utf8PathBuf,
    /// The saved plan itself, which is gone with this process.
    pub kept: Arc<SecretFile>,
    /// What it would change.
    pub changes: Vec<ResourceChange>,
    /// What somebody else changed or took away since the last run.
    pub drift: Vec<ResourceChange>,
    /// The outputs before it.
    pub outputs: Outputs,
    /// The outputs that it would change.
    pub output_changes: Vec<AttributeChange>,
    /// Whether the state holds a managed resource.
    pub exists: bool,
    /// Whether applying it would write anything, the state's own upkeep and outputs included.
    pub applicable: bool,
    /// What OpenTofu warned of.
    pub warnings: Vec<String>,
    /// Digest of the files and of the names of the variables: no value is in it.
    pub digest: String,
}

/// A value that is never printed.
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
    /// Takes an output in.
    pub fn insert(&mut self, name: &str, value: Value, sensitive: bool) {
        if sensitive {
            self.hidden.insert(name.to_owned(), Hidden(value));
        } else {
            self.shown.insert(name.to_owned(), value);
        }
    }

    /// An output's value, sensitive or not, for use; whether it may be printed says [`Self::is_sensitive`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.shown.get(name).or_else(|| self.hidden.get(name).map(|hidden| &hidden.0))
    }

    /// An output that is text or a number, as text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Whether an output is never to be printed.
    #[must_use]
    pub fn is_sensitive(&self, name: &str) -> bool {
        self.hidden.contains_key(name)
    }

    /// The outputs that may be printed.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.shown.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The names of those that may not.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        self.hidden.keys().map(String::as_str)
    }
}
