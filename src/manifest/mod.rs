//! `deployment.yaml` as written: read, checked, merged with its defaults. Never contacts anything.

mod around;
pub mod backup;
mod claim;
mod describe;
pub mod edit;
pub mod environment;
mod layer;
mod mask;
pub mod network;
pub mod provision;
mod read;
mod report;
mod rules;
mod schema;
pub mod scope;
mod spec;
mod suggest;
mod syntax;
mod template;
pub mod torrust;
pub mod tracker;
mod written;
mod yaml;

pub use describe::describe;
pub use read::{load, load_text, load_unsettled, load_within, parse, parse_with};
pub use report::Warning;
pub use schema::{schema, schema_text};
pub use suggest::nearest;
pub use template::template;

use crate::model::failure::Location;
use crate::model::secret::SecretSource;
use camino::Utf8PathBuf;
use environment::{Environment, Name};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A whole manifest, valid.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Name of the project.
    pub project: Name,
    /// URL of the store; a relative path of `sqlite:` counts from `directory`.
    pub state: String,
    /// What OpenTofu's state is encrypted with in the store, where it is not a key of the store's own.
    pub state_passphrase: Option<SecretSource>,
    /// The environments, merged with the defaults.
    pub environments: BTreeMap<Name, Environment>,
    /// Environment variables that its secrets are read from.
    pub variables: BTreeSet<String>,
    /// What is worth knowing though it is not wrong.
    pub warnings: Vec<Warning>,
    /// The file as the user named it, `-` for standard input.
    pub file: String,
    /// Its text, byte for byte. For edits; snippets are cut from the masked text of a `Location`.
    pub text: Arc<str>,
    /// The directory its relative paths count from, absolute.
    pub directory: Utf8PathBuf,
    places: BTreeMap<Name, Location>,
}

impl Manifest {
    /// Where an environment's name stands.
    pub fn place(&self, environment: &Name) -> Option<&Location> {
        self.places.get(environment)
    }
}
