//! Rules of the `provisioned` section. Contacts no provider.

mod hetzner;

use super::scalars::{duration, line, whole};
use super::{Reading, shown, values};
use crate::manifest::claim::Need;
use crate::manifest::environment::{FirewallWish, Protocol};
use crate::manifest::faults::Report;
use crate::manifest::provision::{Login, Lxd, LxdDisk, LxdKind, Machine, Module, ModuleSource, Outputs, Provision};
use crate::manifest::spec::{BackendSpec, LxdSpec, ModuleSpec, OutputsSpec, ProvisionedSpec, Scalar, Text};
use crate::manifest::written::{Given, Spot, Written};
use crate::model::secret::SecretSource;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Other settings of an environment that a machine is made from.
pub struct Around<'a> {
    /// Ports that the host's firewall opens.
    pub firewall: Option<&'a FirewallWish>,
    /// Further ports that everybody may reach: SSH and a tracker's.
    pub ports: BTreeSet<(Protocol, u16)>,
    /// Passphrase that encrypts the state.
    pub passphrase: Option<SecretSource>,
    /// Login of a new machine.
    pub login: Login,
}

/// Reads the section.
pub fn read(written: &Written<ProvisionedSpec>, around: Around<'_>, reading: &mut Reading<'_>) -> Option<Provision> {
    let spec = &written.value;
    let machine = match (&spec.lxd.0, &spec.hetzner.0, &spec.module.0) {
        (Some(one), None, None) => Machine::Lxd(lxd(one, reading.report)),
        (None, Some(one), None) => Machine::Hetzner(hetzner::read(one, &around, reading)),
        (None, None, Some(one)) => Machine::Module(module(one, reading)),
        (None, None, None) => {
            let hint = "Add `lxd`, `hetzner` or `module`";
            reading.report.fault(written.spot, "`provisioned` has none of `lxd`, `hetzner` and `module`", hint);
            return None;
        }
        _ => {
            let message = "`provisioned` has more than one of `lxd`, `hetzner` and `module`";
            reading.report.fault(written.spot, message, "Keep one of them");
            return None;
        }
    };
    let timeout = duration(&spec.timeout, Duration::from_mins(30), false, "timeout", reading.report);
    let templates = reading.base.join("templates/tofu");
    let backend = backend(&spec.backend, reading.report);
    let (passphrase, login, scope) = (around.passphrase, around.login, Arc::default());
    Some(Provision { machine, backend, timeout, passphrase, templates, scope, login })
}

fn lxd(written: &Written<LxdSpec>, report: &mut Report) -> Lxd {
    let spec = &written.value;
    let kind = spec.r#type.value().copied().unwrap_or_default();
    let mut config = BTreeMap::new();
    if kind == LxdKind::Container {
        config.insert("security.nesting".to_owned(), "true".to_owned());
    }
    if let Some(cpus) = &spec.cpus.0 {
        match whole(cpus, "cpus", report) {
            Some(number @ 1..) => _ = config.insert("limits.cpu".to_owned(), number.to_string()),
            Some(number) => {
                report.fault(cpus.spot, format!("A machine cannot have {number} processors"), "Write 1 or more");
            }
            None => {}
        }
    }
    config.extend(size(&spec.memory, "memory", report).map(|size| ("limits.memory".to_owned(), size)));
    for (key, value) in spec.config.value().into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(on) => on.to_string(),
            Value::Number(number) if number.is_i64() => number.to_string(),
            _ => {
                report.fault(key.spot, format!("`{}` is not text", shown(&key.value)), "Quote its value");
                continue;
            }
        };
        let within = |groups: &[&str]| groups.iter().any(|group| key.value.starts_with(group));
        if within(&["user.", "cloud-init."]) {
            let hint = "Use `configure.scripts`, which can also be changed later";
            report.fault(key.spot, format!("`{}` is reserved for deployer", shown(&key.value)), hint);
        } else if within(&["volatile.", "image."]) {
            report.fault(key.spot, format!("`{}` is reserved for LXD", shown(&key.value)), "Remove it");
        } else if text.is_empty() {
            report.fault(key.spot, format!("`{}` has no value", shown(&key.value)), "Remove it, or write its value");
        }
        config.insert(key.value.clone(), text);
    }
    let disk_size = size(&spec.disk, "disk", report);
    let pool = one_line(&spec.pool, "pool", report);
    let disk = (pool.is_some() || disk_size.is_some())
        .then(|| LxdDisk { pool: pool.unwrap_or_else(|| "default".to_owned()), size: disk_size });
    let profiles = spec.profiles.value().map(|all| all.iter().map(|one| one.value.clone()).collect());
    Lxd {
        image: needed(&spec.image, written.spot, "image", "ubuntu:24.04", report),
        r#type: kind,
        config,
        disk,
        network: one_line(&spec.network, "network", report),
        remote: one_line(&spec.remote, "remote", report),
        project: one_line(&spec.project, "project", report),
        profiles: profiles.unwrap_or_else(|| vec!["default".to_owned()]),
    }
}

fn module(written: &Written<ModuleSpec>, reading: &mut Reading<'_>) -> Module {
    let spec = &written.value;
    let secrets: BTreeMap<String, SecretSource> = (spec.secrets.value().into_iter().flatten())
        .map(|(name, value)| (name.value.clone(), values::secret(&name.value, value, reading)))
        .collect();
    let variables: Map<String, Value> = (spec.variables.value().into_iter().flatten())
        .map(|(name, value)| (name.value.clone(), value.clone()))
        .collect();
    let named = || spec.secrets.value().into_iter().flat_map(BTreeMap::keys);
    for name in spec.variables.value().into_iter().flat_map(BTreeMap::keys).chain(named()) {
        if !is_identifier(&name.value) {
            let message = format!("`{}` is not a variable's name", shown(&name.value));
            reading.report.fault(name.spot, message, "Use letters, digits, `_` and `-`, a letter first");
        } else if matches!(name.value.as_str(), "source" | "version" | "providers" | "count" | "for_each" | "deployer")
        {
            let message = format!("A module cannot be given a variable `{}`", name.value);
            reading.report.fault(name.spot, message, "Rename it in the module");
        }
    }
    for name in named().filter(|name| variables.contains_key(&name.value)) {
        let message = format!("`{}` is in both `variables` and `secrets`", shown(&name.value));
        reading.report.fault(name.spot, message, "Keep one of them");
    }
    let resource = one_line(&spec.resource, "resource", reading.report);
    let source = source(spec, written.spot, reading);
    Module { source, resource, variables, secrets, outputs: outputs(&spec.outputs, reading.report) }
}

fn source(spec: &ModuleSpec, section: Spot, reading: &mut Reading<'_>) -> ModuleSource {
    let Some(written) = &spec.source.0 else {
        let hint = "Add `source: ./DIRECTORY`";
        reading.report.fault(section, "`module` has no `source`", hint);
        return ModuleSource::Address(String::new(), None);
    };
    let version = spec.version.0.as_ref();
    let text = written.value.as_str();
    if text.starts_with(['.', '/', '~']) {
        if let Some(version) = version {
            let hint = "Remove it: a directory has no versions";
            reading.report.fault(version.spot, "`version` is only for modules of a registry", hint);
        }
        return ModuleSource::Directory(reading.existing(written, Need::Directory, "The module's directory"));
    }
    line(written, "source", reading.report);
    if !text.contains('/') {
        let message = format!("`{}` is not the address of a module", shown(text));
        reading.report.fault(written.spot, message, format!("A directory is written with a dot: ./{}", shown(text)));
    }
    let version = version.and_then(|written| {
        if let Text(Scalar::Text(text)) = &written.value {
            return Some(text.clone());
        }
        reading.report.fault(written.spot, "`version` is a number", "Quote it");
        None
    });
    ModuleSource::Address(text.to_owned(), version)
}

fn outputs(given: &Given<OutputsSpec>, report: &mut Report) -> Outputs {
    let spec = given.or_default();
    let mut name = |given: &Given<String>, default: &str| match &given.0 {
        Some(written) => {
            if !is_identifier(&written.value) {
                let message = format!("`{}` is not an output's name", shown(&written.value));
                report.fault(written.spot, message, "Use letters, digits, `_` and `-`, a letter first");
            }
            written.value.clone()
        }
        None => default.to_owned(),
    };
    Outputs {
        address: name(&spec.address, "address"),
        port: name(&spec.port, "port"),
        user: name(&spec.user, "user"),
        host_key: name(&spec.host_key, "host_key"),
    }
}

/// Returns true if the name is an identifier of OpenTofu's language.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn backend(given: &Given<BackendSpec>, report: &mut Report) -> Option<(String, Map<String, Value>)> {
    let written = given.0.as_ref()?;
    let mut entries = written.value.iter();
    let (Some((name, settings)), None) = (entries.next(), entries.next()) else {
        report.fault(written.spot, "`backend` must name exactly one backend", "Write `backend: { s3: { … } }`");
        return None;
    };
    if !is_identifier(&name.value) || name.value == "local" {
        let message = format!("`{}` is not a supported backend", shown(&name.value));
        let hint = "Leave out `backend`: the state store keeps the state, encrypted";
        report.fault(name.spot, message, hint);
    }
    Some((name.value.clone(), settings.value.clone().into_iter().collect()))
}

/// Reads a size in LXD's notation.
fn size(given: &Given<Text>, key: &str, report: &mut Report) -> Option<String> {
    const UNITS: &[&str] = &["GiB", "MiB", "KiB", "GB", "MB", "kB", "B"];
    let written = given.0.as_ref()?;
    let text = if let Text(Scalar::Text(text)) = &written.value { text.as_str() } else { "" };
    let number = UNITS.iter().find_map(|unit| text.strip_suffix(unit));
    if !number.is_some_and(|number| number.parse::<u64>().is_ok_and(|number| number > 0)) {
        let message = format!("`{key}` is not a size");
        report.fault(written.spot, message, "Write a whole number with its unit: 512MiB, 10GiB");
        return None;
    }
    Some(text.to_owned())
}

fn one_line(given: &Given<String>, key: &str, report: &mut Report) -> Option<String> {
    let written = given.0.as_ref()?;
    line(written, key, report).then(|| written.value.clone())
}

fn needed(given: &Given<String>, section: Spot, key: &str, example: &str, report: &mut Report) -> String {
    if given.0.is_none() {
        report.fault(section, format!("The machine has no `{key}`"), format!("Add `{key}: {example}`"));
    }
    one_line(given, key, report).unwrap_or_default()
}
