//! Meaning of the manifest: converts the file as written into environments and applies every rule that a type cannot
//! express. Does not access the disk: paths that must exist are returned as claims.

mod address;
mod application;
mod checks;
mod configure;
mod drift;
mod engine;
mod environment;
mod firewall;
mod paths;
mod provisioned;
mod registries;
mod scalars;
mod ssh;
mod together;
mod tracker;
mod values;

pub use environment::NEEDS_KEY;

use super::claim::{Claim, Need};
use super::environment::{Environment, Name};
use super::faults::Report;
use super::spec::{ManifestSpec, Whole};
use super::written::{Given, Spot, Written};
use crate::model::secret::SecretSource;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};

/// Inputs and results of the rules.
pub struct Reading<'a> {
    /// Report for faults and warnings.
    pub report: &'a mut Report,
    /// The manifest's directory, absolute.
    pub base: &'a Utf8Path,
    /// Home directory for `~`.
    pub home: Option<&'a Utf8Path>,
    /// Paths that must exist.
    pub claims: Vec<Claim>,
    /// The environment being read.
    pub environment: Option<Name>,
    /// Files that no application may send, absolute: keys and sources of values.
    pub withheld: BTreeSet<Utf8PathBuf>,
    /// Passphrase that encrypts OpenTofu's state.
    pub passphrase: Option<SecretSource>,
    /// Environment variables that secrets are read from.
    pub variables: BTreeSet<String>,
}

/// Result of the rules.
pub struct Meaning {
    /// Name of the project.
    pub project: Name,
    /// URL of the store.
    pub state: String,
    /// Environments, with the position of each name.
    pub environments: BTreeMap<Name, (Spot, Environment)>,
}

/// An environment, with the positions that rules about several environments point at.
pub struct Placed {
    pub environment: Environment,
    /// Position of the environment's name.
    pub key: Spot,
    /// Each name in `depends_on`, valid or not.
    pub depends_on: Vec<Written<String>>,
    /// Position of the Compose project's name, or of the environment's name if the project is the default.
    pub project: Spot,
    /// Position of the directory on the host, or of the environment's name if the directory is the default.
    pub host_directory: Spot,
    /// Position of the security updates, or of the environment's name if there are none.
    pub security_updates: Spot,
}

const STORE: &str = "sqlite:.deployer/state.db";

/// Applies every rule.
pub fn apply(spec: ManifestSpec, reading: &mut Reading<'_>) -> Meaning {
    let top = Spot { start: 0, length: 0, line: 1, column: 1 };
    version(&spec.version, top, reading);
    let project = project(&spec.project, top, reading);
    let state = state(&spec.state, reading);
    let passphrase = spec.state_passphrase.0.as_ref();
    reading.passphrase = passphrase.map(|written| values::secret("state_passphrase", written, reading));
    let registries = registries::read(&spec.registries, reading);
    let defaults = spec.defaults.or_default();
    let mut placed = BTreeMap::new();
    for (name, body) in spec.environments.0.map(|written| written.value).unwrap_or_default() {
        reading.report.concerning(None);
        let known = environment_name(&name, reading);
        reading.report.concerning(Some(&name.value));
        reading.environment = Some(known.clone());
        let mut read = environment::read(known.clone(), &name, &project, body.value, &defaults, reading);
        if let Some(application) = &mut read.environment.application {
            application.registries.clone_from(&registries);
        }
        placed.insert(known, read);
    }
    reading.report.concerning(None);
    together::check(&placed, reading.report);
    let environments = placed.into_iter().map(|(name, placed)| (name, (placed.key, placed.environment))).collect();
    Meaning { project, state, environments }
}

impl Reading<'_> {
    /// Records that `path` must exist when the manifest is loaded from a disk.
    pub fn claim(&mut self, path: &Utf8Path, need: Need, what: &'static str, spot: Spot) {
        let (path, environment) = (path.to_owned(), self.environment.clone());
        self.claims.push(Claim { path, need, what, spot, environment });
    }

    /// Converts a path as written to an absolute path, with `~` expanded, and records that it must exist when the
    /// manifest is loaded.
    pub fn existing(&mut self, written: &Written<String>, need: Need, what: &'static str) -> Utf8PathBuf {
        let faults = self.report.count();
        let path = paths::resolve(written, self);
        if faults == self.report.count() {
            self.claim(&path, need, what, written.spot);
        }
        path
    }
}

fn version(version: &Given<Whole>, top: Spot, reading: &mut Reading<'_>) {
    let Some(written) = &version.0 else {
        reading.report.fault(top, "The key `version` is missing", "Add `version: 1` at the top");
        return;
    };
    let found = reading.report.written(written.spot).to_owned();
    // The version of a Compose file is text such as "3" or "3.8".
    let text = found.trim_matches(['"', '\'']);
    if (text != found || text.contains('.')) && text.starts_with(['2', '3']) {
        let message = format!("Version {} of the manifest is not supported", shown(&found));
        let hint = "This is the version of the manifest, not of a Compose file: write `version: 1`";
        reading.report.fault(written.spot, message, hint);
        return;
    }
    match scalars::whole(written, "version", reading.report) {
        None | Some(1) => {}
        Some(other) => {
            let message = format!("Version {other} of the manifest is not supported");
            reading.report.fault(written.spot, message, "This deployer reads version 1");
        }
    }
}

fn project(project: &Given<String>, top: Spot, reading: &mut Reading<'_>) -> Name {
    let spot = project.spot_or(top);
    match project.value().map(|text| (text, Name::parse(text))) {
        Some((_, Ok(name))) => return name,
        Some((text, Err(rule))) => {
            reading.report.fault(spot, format!("`{}` is not a valid project name", shown(text)), rule);
        }
        None => reading.report.fault(top, "The key `project` is missing", "Add `project: NAME` at the top"),
    }
    Name::stand_in("project")
}

fn state(state: &Given<String>, reading: &mut Reading<'_>) -> String {
    let Some(written) = &state.0 else { return STORE.to_owned() };
    let url = &written.value;
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        let hint = "A PostgreSQL store is not supported by this version yet";
        reading.report.fault(written.spot, format!("The store `{}` cannot be used", scheme(url)), hint);
    } else if url.strip_prefix("sqlite:").is_none_or(str::is_empty) || url.contains(char::is_control) {
        let hint = format!("Write sqlite:PATH; the default is {STORE}");
        reading.report.fault(written.spot, "`state` is not the URL of a store", hint);
    }
    url.clone()
}

/// Returns the part of a URL that holds no password.
fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

/// Returns the name of an environment, or a stand-in after a fault, so that the environment's content is still checked.
fn environment_name(name: &Written<String>, reading: &mut Reading<'_>) -> Name {
    match Name::parse(&name.value) {
        Ok(name) => name,
        Err(rule) => {
            let message = format!("`{}` is not a valid name of an environment", shown(&name.value));
            reading.report.fault(name.spot, message, rule);
            Name::stand_in(&name.value)
        }
    }
}

/// Shortens text from the manifest and escapes it for one line of a message.
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short.replace("\\\"", "\"").replace("\\'", "'")
}

/// Capitalises a rule, for use as a sentence.
pub fn capitalised(rule: &str) -> String {
    let mut characters = rule.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
