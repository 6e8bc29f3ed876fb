//! The marker that names the environment to which a directory of the host belongs.

use super::record::FORMAT;
use crate::manifest::environment::Environment;
use crate::model::checked;
use crate::resource::{HostFacts, Subject};
use serde::{Deserialize, Serialize};

/// Marker file that former versions kept in the application's directory, where services can change it. The file counts
/// only on a host that keeps nothing else of the environment.
pub const LEGACY_MARKER: &str = ".deployer";

/// Marker that names the owner of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Format of all records in the directory.
    pub version: u32,
    /// The project.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// True if the environment is suspended.
    #[serde(default)]
    pub suspended: bool,
    /// True if the environment must not be destroyed.
    #[serde(default)]
    pub protect: bool,
}

impl Marker {
    /// Reads a marker from a host. Returns `None` if it is not JSON of this form, or contains an invalid name.
    #[must_use]
    pub fn read(json: &str) -> Option<Self> {
        let marker = serde_json::from_str::<Self>(json).ok();
        marker.filter(|marker| checked::is_plain(&marker.project) && checked::is_plain(&marker.environment))
    }

    /// Returns the marker of an environment.
    #[must_use]
    pub fn of(environment: &Environment, suspended: bool, protect: bool) -> Self {
        Self {
            version: FORMAT,
            project: environment.project.to_string(),
            environment: environment.name.to_string(),
            suspended,
            protect,
        }
    }

    /// Returns true if the marker belongs to this environment, under its current or its former name.
    #[must_use]
    pub fn is_of(&self, environment: &Environment) -> bool {
        let names = [Some(&environment.name), environment.renamed_from.as_ref()];
        self.project == environment.project.as_str()
            && names.into_iter().flatten().any(|name| self.environment == name.as_str())
    }
}

/// Returns true if the environment must not be destroyed: as the manifest says or, if it does not say, as the host
/// remembers.
#[must_use]
pub fn protected(subject: &Subject<'_>, host: &HostFacts) -> bool {
    let remembered = host.access.marker.as_ref().is_some_and(|marker| marker.protect);
    subject.environment.protect.unwrap_or(remembered)
}

/// Returns the marker of this environment as JSON.
#[must_use]
pub fn json(subject: &Subject<'_>, host: &HostFacts, suspended: bool) -> String {
    let marker = Marker::of(subject.environment, suspended, protected(subject, host));
    serde_json::to_string(&marker).unwrap_or_default()
}
