//! Determines the Compose files of an application, either named or found by the rules of docker compose, and the other
//! files that Compose parses with them. Reads none of these files.

use super::tree::Tree;
use super::{Files, dotenv, invalid};
use crate::manifest::environment::Compose;
use crate::model::failure::Failure;
use crate::model::secret::Variable;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;

/// The names of a Compose file, in docker compose's order of preference.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The names of an override file. The first one that exists is merged over the Compose file, regardless of the name of
/// that file.
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// The most Compose files of one application.
const MOST: usize = 1000;
/// The most existing files that a hint lists when a named file is missing.
const NEAR: usize = 10;

/// Returns the files named by the manifest, otherwise by `COMPOSE_FILE` among the variables or in the application's own
/// `.env`. The result is empty if none are named.
///
/// # Errors
/// `COMPOSE_FILE` contains variables, which only Compose can resolve.
pub fn wanted(
    compose: &Compose,
    own_env: Option<&str>,
    values: &BTreeMap<String, Variable>,
) -> Result<Vec<String>, Vec<Failure>> {
    if !compose.files.is_empty() {
        return Ok(compose.files.clone());
    }
    let list = setting("COMPOSE_FILE", own_env, values).unwrap_or_default();
    if list.contains('$') {
        let failure = invalid("COMPOSE_FILE in the application's .env is made from other variables");
        return Err(vec![failure.hint("Name the files in the manifest: application.compose.files")]);
    }
    let separator = setting("COMPOSE_PATH_SEPARATOR", own_env, values).filter(|text| !text.is_empty());
    let separator = separator.unwrap_or_else(|| ":".to_owned());
    Ok(list.split(&separator).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// Returns the paths of the wanted files, or of the files that docker compose finds by default.
///
/// # Errors
/// A wanted file is missing from the release (one failure each), or there is no Compose file at all.
pub fn find(directory: &Utf8Path, wanted: &[String], files: &Files, tree: &Tree) -> Result<Vec<String>, Vec<Failure>> {
    if wanted.is_empty() {
        let first = |names: [&'static str; 4]| names.into_iter().find(|name| files.contains_key(Utf8Path::new(*name)));
        let Some(base) = first(NAMES) else {
            let left_out = NAMES.into_iter().find_map(|name| left_out(directory, Utf8Path::new(name), tree));
            if let Some(failure) = left_out {
                return Err(vec![failure]);
            }
            let failure = invalid(format!("{directory} contains no Compose file"));
            let hint = "Add a compose.yaml, or name the files in the manifest: application.compose.files";
            return Err(vec![failure.hint(hint)]);
        };
        return Ok([Some(base), first(OVERRIDES)].into_iter().flatten().map(str::to_owned).collect());
    }
    if wanted.len() > MOST {
        let failure = invalid(format!("COMPOSE_FILE of {directory} names more than {MOST} Compose files"));
        return Err(vec![failure.hint("Name fewer, and include the others in them")]);
    }
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for name in wanted {
        match within(Utf8Path::new(""), Utf8Path::new(name)) {
            None => {
                let failure = invalid(format!("The Compose file {name} is not in {directory}"));
                failures.push(failure.hint("Paths are relative to the application's directory, which is what is sent"));
            }
            Some(path) if files.contains_key(&path) => found.push(path.into_string()),
            Some(path) => {
                if let Some(failure) = left_out(directory, &path, tree) {
                    failures.push(failure);
                    continue;
                }
                let failure = invalid(format!("There is no Compose file {}", directory.join(path)));
                let near: Vec<&str> =
                    files.keys().map(|path| path.as_str()).filter(|path| is_yaml(path)).take(NEAR).collect();
                failures.push(match near.as_slice() {
                    [] => failure,
                    near => failure.hint(format!("There is {}", near.join(", "))),
                });
            }
        }
    }
    if failures.is_empty() { Ok(found) } else { Err(failures) }
}

/// Returns the failure for a Compose file that exists but is not sent.
fn left_out(directory: &Utf8Path, path: &Utf8Path, tree: &Tree) -> Option<Failure> {
    let why = tree.why_left_out(path).filter(|_| directory.join(path).is_file())?;
    let message = format!("The Compose file {path} is not sent: {}", why.phrase());
    Some(invalid(message).hint(why.advice(path)))
}

/// Returns `path` relative to the application, resolved against `base` without `.` and `..`, or `None` if it is outside
/// the application.
pub fn within(base: &Utf8Path, path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut clean = Utf8PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Utf8Component::Normal(name) => clean.push(name),
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    Some(clean)
}

fn is_yaml(path: &str) -> bool {
    matches!(Utf8Path::new(path).extension(), Some("yaml" | "yml"))
}

fn setting(key: &str, own_env: Option<&str>, values: &BTreeMap<String, Variable>) -> Option<String> {
    if let Some(variable) = values.get(key) {
        return variable.value.as_ref().map(|value| value.expose_secret().to_owned());
    }
    // A `.env` that does not parse is reported by `dotenv::merge`, or by Compose.
    let statements = dotenv::statements(own_env?).ok()?;
    let last = statements.into_iter().rev().find(|statement| statement.key == key)?;
    last.value.map(str::to_owned)
}
