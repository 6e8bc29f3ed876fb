//! Digests of the inputs that a plan is made from on this machine, and the differences between them. Holds no input
//! itself.

use crate::model::state::Kind;
use crate::resource::images::registry::Answer;
use crate::resource::{Observation, Subject, files};
use camino::Utf8Path;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Settings that are paths on this machine. The content at these paths is bound instead.
const PLACES: [&str; 6] = [
    "ssh.identity",
    "ssh.identity_file",
    "application.compose.directory",
    "application.compose.files",
    "application.compose.archives",
    "application.compose.variables",
];

/// Suffix of the name of an input that comes from an image registry.
const AT_REGISTRY: &str = "at its registry";

/// Returns every input of a release and its steps, as digests that only a holder of the host's key can compare with a
/// guess.
pub(super) fn inputs(
    subject: &Subject<'_>,
    entry: &Value,
    seen: &Observation,
    directory: &Utf8Path,
) -> BTreeMap<String, String> {
    let host = seen.facts();
    let key = files::key(subject, host);
    let seal = |text: &str| key.digest(blake3::hash(text.as_bytes()).as_bytes());
    let mut inputs = BTreeMap::new();
    for (name, value) in plain_settings(entry, directory) {
        inputs.insert(format!("setting {name}"), seal(&value));
    }
    for (kind, facts) in
        seen.desired().0.iter().filter(|(kind, _)| !matches!(kind, Kind::Files | Kind::Images | Kind::Services))
    {
        inputs.extend(facts.iter().map(|(fact, value)| (format!("wanted {kind} {fact}"), seal(value))));
    }
    inputs.extend(texts(subject).into_iter().map(|(name, text)| (name, seal(&text))));
    for (image, answer) in &host.outside.registry {
        // Saved plans hold digests of these texts.
        let text = match answer {
            Answer::Digest(digest) => format!("Digest({digest:?})"),
            Answer::None(reason) => format!("None({reason:?})"),
        };
        inputs.insert(format!("{image} {AT_REGISTRY}"), seal(&text));
    }
    let Some(release) = subject.release else { return inputs };
    inputs.insert("order of the Compose files".to_owned(), seal(&release.compose_files.join("\n")));
    for (path, file) in &release.files {
        let sha256 = file.sha256.unwrap_or_default();
        inputs
            .insert(format!("file {path}"), seal(&format!("{:o} {} {} {sha256:?}", file.mode, file.secret, file.seed)));
    }
    for archive in &release.archives {
        inputs.insert(format!("archive of {}", archive.image), seal(&archive.ids.join(" ")));
    }
    let variables = subject.environment.application.iter().flat_map(|application| application.variables.keys());
    for name in variables {
        inputs.extend(release.variable(name).map(|digest| (format!("variable {name}"), key.digest(&digest))));
    }
    inputs
}

/// Returns the texts that an entry only names, and that apply uses on the host.
fn texts(subject: &Subject<'_>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for script in subject.environment.scripts.iter().filter(|script| script.file.is_some()) {
        texts.insert(format!("text of the script {}", script.name), script.run.clone());
    }
    if let Some(repository) = &subject.environment.engine.repository {
        texts.insert("key of the package repository".to_owned(), repository.key.clone());
    }
    texts
}

/// Returns the entry's settings that are not empty and no paths on this machine. Saved plans of all versions have the
/// names that this function gives. What an empty value means to a module shows in the plan of OpenTofu.
pub(super) fn plain_settings(entry: &Value, directory: &Utf8Path) -> BTreeMap<String, String> {
    let named = leaves(entry, false).into_iter().map(|(path, value)| (path.join("."), written(&value, directory)));
    let is_place = |name: &str| PLACES.iter().any(|place| name == *place || name.starts_with(&format!("{place}.")));
    named.filter(|(name, value)| !is_place(name) && !matches!(value.as_str(), "null" | "[]" | "{}")).collect()
}

/// Returns the entry's settings by their path (`health.timeout`, `checks.page.tcp`). No two settings have the same
/// path: keys that hold a dot are quoted.
pub fn settings(entry: &Value, directory: &Utf8Path) -> BTreeMap<String, String> {
    let is_plain = |key: &str| !key.is_empty() && !key.contains(['.', '"']);
    let word = |key: &&str| if is_plain(key) { (*key).to_owned() } else { Value::from(*key).to_string() };
    let name = |path: &[&str]| path.iter().map(word).collect::<Vec<_>>().join(".");
    leaves(entry, true).into_iter().map(|(path, value)| (name(&path), written(&value, directory))).collect()
}

/// Returns the values of an entry with the keys that lead to them. An empty mapping is a value. With `elements`, a list
/// of mappings with distinct names becomes the list of these names, and the values of each mapping.
fn leaves(entry: &Value, elements: bool) -> Vec<(Vec<&str>, Cow<'_, Value>)> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), entry)];
    while let Some((path, value)) = open.pop() {
        let at = |key| [&path[..], &[key]].concat();
        match value {
            Value::Object(map) if !map.is_empty() => {
                open.extend(map.iter().map(|(key, inner)| (at(key.as_str()), inner)));
            }
            value => match names(value).filter(|_| elements) {
                Some(names) => {
                    open.extend(
                        names.iter().zip(value.as_array().into_iter().flatten()).map(|(name, one)| (at(*name), one)),
                    );
                    found.push((path, Cow::Owned(Value::from(names))));
                }
                None => found.push((path, Cow::Borrowed(value))),
            },
        }
    }
    found
}

/// Returns the names of the mappings in a list, if all have different names.
fn names(list: &Value) -> Option<Vec<&str>> {
    let names: Option<Vec<&str>> = list.as_array()?.iter().map(|one| one.get("name")?.as_str()).collect();
    names.filter(|names| !names.is_empty() && names.iter().collect::<BTreeSet<_>>().len() == names.len())
}

/// Returns a value as text. Paths below the manifest's directory become relative to that directory: a plan may be made
/// in one checkout and applied in another.
fn written(value: &Value, directory: &Utf8Path) -> String {
    value.to_string().replace(&format!("\"{directory}/"), "\"./")
}

/// Returns the inputs that differ, as phrases.
pub(super) fn other_inputs(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let differs = |name: &&&String| then.get(**name) != now.get(**name);
    let moved: Vec<&String> = names.iter().filter(differs).copied().collect();
    let variable = moved.iter().any(|name| name.starts_with("variable "));
    let phrase = |name: &&String| match (then.contains_key(*name), now.contains_key(*name)) {
        (false, _) => format!("{name} was added here"),
        (_, false) => format!("{name} is gone here"),
        _ if name.ends_with(AT_REGISTRY) => format!("{name} changed"),
        _ => format!("{name} changed here"),
    };
    // A change of `.env` says nothing new if a change of a variable is listed.
    moved.iter().filter(|name| !(variable && **name == "file .env")).map(phrase).collect()
}
