//! Values and secrets: literals and sources. Reads no source and quotes no secret.

use super::scalars::switch;
use super::{Reading, paths, shown};
use crate::manifest::claim::Need;
use crate::manifest::faults::Report;
use crate::manifest::spec::{Scalar, SourceSpec, Switch, ValueSpec};
use crate::manifest::written::{Given, Spot, Written};
use crate::model::secret::SecretSource;

const SOURCES: &str = "{ from_env: NAME }, { from_file: path } or { from_command: [program, argument] }";

/// Reads a variable of the application. A literal is shown. A source is secret unless the manifest declares it public.
pub fn variable(name: &Written<String>, written: &Written<ValueSpec>, reading: &mut Reading<'_>) -> SecretSource {
    if !is_variable(&name.value) {
        let message = format!("`{}` is not a variable's name", shown(&name.value));
        reading.report.fault(name.spot, message, "Use letters, digits and underscores, no digit first");
    }
    match &written.value {
        ValueSpec::Literal(Scalar::Text(text)) => {
            literal(text, written.spot, reading.report);
            SecretSource::Literal { value: text.clone(), secret: false }
        }
        ValueSpec::Literal(bare) => {
            unquoted(bare, written.spot, reading.report);
            SecretSource::Literal { value: String::new(), secret: false }
        }
        ValueSpec::Source(spec) => source(spec, written.spot, reading),
    }
}

/// Reads a secret. A literal is accepted for development, with a warning.
pub fn secret(key: &str, written: &Written<ValueSpec>, reading: &mut Reading<'_>) -> SecretSource {
    match &written.value {
        ValueSpec::Literal(Scalar::Text(value)) => {
            reading.report.warn(written.spot, format!("`{key}` is a secret written in the manifest; use {SOURCES}"));
            SecretSource::Literal { value: value.clone(), secret: true }
        }
        ValueSpec::Literal(_) => {
            let hint = format!("Better: {SOURCES}; else quote it");
            reading.report.fault(written.spot, format!("`{key}` is not text"), hint);
            SecretSource::Literal { value: String::new(), secret: true }
        }
        ValueSpec::Source(spec) => {
            let open = spec.secret.0.as_ref().filter(|it| it.value == Switch(Scalar::Switch(false)));
            if let Some(open) = open {
                let message = format!("`{key}` is always a secret");
                reading.report.fault(open.spot, message, "Remove `secret: false`");
            }
            source(spec, written.spot, reading)
        }
    }
}

/// Returns true if a shell and Docker Compose accept the variable name.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn literal(text: &str, spot: Spot, report: &mut Report) {
    const LEGACY: &[&str] = &["yes", "no", "on", "off", "y", "n"];
    let bare = report.written(spot) == text;
    if bare && LEGACY.contains(&text.to_ascii_lowercase().as_str()) {
        unquoted(&Scalar::Switch(true), spot, report);
    } else if let Some(name) = reference(text) {
        let advice = format!(
            "`{text}` is passed as it is written; for a variable of this machine, write {{ from_env: {name} }}"
        );
        report.warn(spot, advice);
    } else if text.contains('\0') {
        report.fault(spot, "A variable cannot contain a NUL character", "Remove it");
    }
}

/// Returns the name in a text that is nothing but a reference to a variable, as shells and Compose write it.
fn reference(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    is_variable(name).then_some(name)
}

fn unquoted(scalar: &Scalar, spot: Spot, report: &mut Report) {
    let kind = if matches!(scalar, Scalar::Switch(_)) { "true or false" } else { "a number" };
    let bare = report.written(spot).to_owned();
    let message = format!("`{}` is read by YAML as {kind}, not as text", shown(&bare));
    report.fault(spot, message, format!("Quote it: \"{bare}\""));
}

fn source(spec: &SourceSpec, spot: Spot, reading: &mut Reading<'_>) -> SecretSource {
    let secret = switch(&spec.secret, true, "secret", reading.report);
    match (&spec.from_env, &spec.from_file, &spec.from_command) {
        (Given(Some(name)), Given(None), Given(None)) => {
            if !is_variable(&name.value) {
                let message = format!("`{}` is not an environment variable's name", shown(&name.value));
                reading.report.fault(name.spot, message, "Use letters, digits and underscores, no digit first");
            }
            if secret {
                reading.variables.insert(name.value.clone());
            }
            SecretSource::Environment { name: name.value.clone(), secret }
        }
        (Given(None), Given(Some(file)), Given(None)) => {
            let need = if secret { Need::Secret } else { Need::Value };
            let path = reading.existing(file, need, "The file with a value");
            reading.withheld.insert(path.clone());
            SecretSource::File { path, secret }
        }
        (Given(None), Given(None), Given(Some(command))) => {
            SecretSource::Command { argv: argv(command, reading), secret }
        }
        _ => {
            let message = "A value is read from exactly one source";
            reading.report.fault(spot, message, format!("Write one of {SOURCES}"));
            SecretSource::Literal { value: String::new(), secret: true }
        }
    }
}

/// Returns the command. A program with a slash in its name is resolved against the manifest's directory.
fn argv(command: &Written<Vec<Written<String>>>, reading: &mut Reading<'_>) -> Vec<String> {
    let mut argv: Vec<String> = command.value.iter().map(|word| word.value.clone()).collect();
    match command.value.first() {
        Some(program) if program.value.contains('/') => argv[0] = paths::resolve(program, reading).into_string(),
        Some(program) if !program.value.trim().is_empty() => {}
        _ => reading.report.fault(command.spot, "`from_command` is empty", "Write [program, argument]"),
    }
    if let Some(word) = command.value.iter().find(|word| word.value.contains('\0')) {
        reading.report.fault(word.spot, "An argument cannot contain a NUL character", "Remove it");
    }
    argv
}
