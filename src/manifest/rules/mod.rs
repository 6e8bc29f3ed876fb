//! What the manifest means: the typed file as written → environments, with every rule that a type
//! cannot hold. Never touches the disk: paths that must exist are returned as claims.

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

use super::claim::{Claim, Need};
use super::environment::{Environment, Name};
use super::report::Report;
use super::spec::{ManifestSpec, Whole};
use super::written::{Given, Spot, Written};
use crate::model::secret::SecretSource;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};

/// What the rules need to know, and what they gather.
pub struct Reading<'a> {
    /// Where faults and warnings go.
    pub report: &'a mut Report,
    /// The manifest's directory, absolute.
    pub base: &'a Utf8Path,
    /// What `~` stands for.
    pub home: Option<&'a Utf8Path>,
    /// Paths that must exist.
    pub claims: Vec<Claim>,
    /// The environment being read.
    pub environment: Option<Name>,
    /// Files that no application may send, absolute: keys, and sources of values.
    pub withheld: BTreeSet<Utf8PathBuf>,
    /// What OpenTofu's state is encrypted with.
    pub passphrase: Option<SecretSource>,
    /// Environment variables that secrets are read from.
    pub variables: BTreeSet<String>,
}

/// What the rules made of a manifest.
pub struct Meaning {
    /// Name of the project.
    pub project: Name,
    /// URL of the store.
    pub state: String,
    /// The environments, with the place of each one's name.
    pub environments: BTreeMap<Name, (Spot, Environment)>,
}

/// An environment and the places that rules about several environments point at.
pub struct Placed {
    /// The environment.
    pub environment: Environment,
    /// Its name.
    pub key: Spot,
    /// Each name in `depends_on`, valid or not.
    pub depends_on: Vec<Written<String>>,
    /// Its Compose project name, or its own name where that is the default.
    pub project: Spot,
    /// Its directory on the host, or its own name where that is the default.
    pub host_directory: Spot,
    /// Its security updates, or its own name where it asks for none.
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
    /// Notes that `path` has to be there when the manifest is loaded from a disk.
    pub fn claim(&mut self, path: &Utf8Path, need: Need, what: &'static str, spot: Spot) {
        let (path, environment) = (path.to_owned(), self.environment.clone());
        self.claims.push(Claim { path, need, what, spot, environment });
    }

    /// A path as written → absolute, with `~` expanded; it has to be there when the manifest is loaded.
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
    match &version.0 {
        Some(written) => match scalars::whole(written, "version", reading.report) {
            None | Some(1) => {}
            Some(other) => {
                let message = format!("Version {other} of the manifest is not known");
                reading.report.fault(written.spot, message, "This deployer reads version 1");
            }
        },
        None => reading.report.fault(top, "The key `version` is missing", "Add `version: 1` at the top"),
    }
}

fn project(project: &Given<String>, top: Spot, reading: &mut Reading<'_>) -> Name {
    let spot = project.spot_or(top);
    match project.value().map(|text| (text, Name::parse(text))) {
        Some((_, Ok(name))) => return name,
        Some((text, Err(rule))) => {
            reading.report.fault(spot, format!("`{}` is not a project name", shown(text)), capitalised(&rule));
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

/// The part of a URL that holds no password.
fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

/// The name of an environment; a stand-in after a fault, so that its content is checked all the same.
fn environment_name(name: &Written<String>, reading: &mut Reading<'_>) -> Name {
    match Name::parse(&name.value) {
        Ok(name) => name,
        Err(rule) => {
            let message = format!("`{}` is not an environment's name", shown(&name.value));
            reading.report.fault(name.spot, message, capitalised(&rule));
            Name::stand_in(&name.value)
        }
    }
}

/// Text from the manifest as it can stand in a message: short, on one line.
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short.replace("\\\"", "\"").replace("\\'", "'")
}

/// A rule as a sentence of its own.
pub fn capitalised(rule: &str) -> String {
    let mut characters = rule.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
