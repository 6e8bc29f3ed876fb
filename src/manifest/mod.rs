//! The manifest `deployment.yaml`: read, checked, merged with its defaults. Contacts no host.

mod around;
pub mod backup;
pub mod below;
mod claim;
mod describe;
pub mod edit;
pub mod environment;
mod faults;
mod layer;
mod mask;
pub mod network;
pub mod provision;
mod read;
mod rules;
mod schema;
pub mod scope;
mod spec;
pub(crate) mod suggest;
mod syntax;
mod template;
pub mod torrust;
pub mod tracker;
mod written;
mod yaml;

pub use describe::{describe, describe_shared, describe_with, value};
pub use faults::Warning;
pub(crate) use read::store_files;
pub use read::{load, load_text, load_unsettled, load_within, parse, parse_with};
pub use rules::{NEEDS_KEY, shown};
pub use schema::{schema, schema_text};
pub use suggest::nearest;
pub use template::template;
pub use yaml::LARGEST;

use crate::model::failure::Location;
use crate::model::secret::SecretSource;
use camino::Utf8PathBuf;
use environment::{Environment, Name};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A whole, valid manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Name of the project.
    pub project: Name,
    /// URL of the store; a relative path of `sqlite:` is resolved against `directory`.
    pub state: String,
    /// Passphrase that encrypts OpenTofu's state in the store; `None` for a key that the store keeps.
    pub state_passphrase: Option<SecretSource>,
    /// Environments, merged with the defaults.
    pub environments: BTreeMap<Name, Environment>,
    /// Environment variables that secrets of the manifest are read from.
    pub variables: BTreeSet<String>,
    /// Findings that are not errors.
    pub warnings: Vec<Warning>,
    /// File as the user named it, `-` for standard input.
    pub file: String,
    /// Text of the file, byte for byte. Used for edits; snippets are cut from the masked text of a `Location`.
    pub text: Arc<str>,
    /// Directory that relative paths are resolved against, absolute.
    pub directory: Utf8PathBuf,
    places: BTreeMap<Name, Location>,
}

impl Manifest {
    /// Returns the position of an environment's name.
    pub fn place(&self, environment: &Name) -> Option<&Location> {
        self.places.get(environment)
    }
}
