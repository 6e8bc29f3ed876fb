//! Edits a manifest: adds an entry, sets host keys. Changes only the bytes of the edit, and returns a text only if it
//! means the old text plus the edit.

mod entry;
mod place;
mod tree;
mod write;

pub use entry::{Entry, Place, inline};
pub use write::{create, write};

use super::environment::Name;
use super::yaml;
use crate::model::failure::{Failure, Location, Reason};
use place::Splice;
use serde_json::{Value, json};
use tree::{Kind, Node};

/// Returns `text` of `file` with the environment `name` added.
///
/// # Errors
/// [`Reason::ManifestUneditable`] if the name is taken, or if the entry cannot be added without changing anything else;
/// the details then hold the entry to paste.
pub fn add(text: &str, file: &str, name: &Name, entry: &Entry) -> Result<String, Failure> {
    let snippet = entry.lines(name, 2);
    let refuse = |why: &str| refusal(why, &snippet);
    let (mark, bare) = split_mark(text);
    let root = tree::read(bare).ok_or_else(|| refuse("It is not valid YAML"))?;
    let environments = root.entry("environments");
    if let Some((key, _)) = environments.and_then(|(_, value)| value.entry(name.as_str())) {
        return Err(taken(name, key, bare, file));
    }
    let splice = match environments {
        None => place::new_section(
            bare,
            &root,
            &snippet,
            &json_entry("environments", &json!({ name.as_str(): entry.value() })),
        ),
        Some((key, value)) if value.is_nothing() => place::after_colon(bare, key, &snippet),
        Some((_, value)) => {
            in_lines(&root).then(|| place::instead_of_braces(bare, value, &snippet)).flatten().or_else(|| {
                let braced = json_entry(name.as_str(), &entry.value());
                place::into_mapping(bare, value, |indent| entry.lines(name, indent), &braced)
            })
        }
    };
    let splice = splice.ok_or_else(|| refuse("`environments` is not a mapping that can be edited"))?;
    checked(mark, bare, &splice, &["environments", name.as_str()], entry.value())
        .ok_or_else(|| refuse("The edit would also change something else"))
}

/// Returns `text` with the host keys of the environment `name` set.
///
/// # Errors
/// [`Reason::ManifestUneditable`], as for [`add`].
pub fn set_host_keys(text: &str, name: &Name, keys: &[String]) -> Result<String, Failure> {
    let list = inline(&json!(keys));
    let snippet = format!("  {}:\n    ssh:\n      host_key: {list}\n", entry::key(name));
    let refuse = |why: &str| refusal(why, &snippet);
    let (mark, bare) = split_mark(text);
    let root = tree::read(bare).ok_or_else(|| refuse("It is not valid YAML"))?;
    let body = root.entry("environments").and_then(|(_, value)| value.entry(name.as_str())).map(|(_, body)| body);
    let body = body.ok_or_else(|| refuse(&format!("`{name}` has no entry in the manifest")))?;
    let splice = match body.entry("ssh") {
        None => place::into_mapping(
            bare,
            body,
            |indent| format!("{0}ssh:\n{0}  host_key: {list}\n", " ".repeat(indent)),
            &json_entry("ssh", &json!({ "host_key": keys })),
        ),
        Some((_, ssh)) => match ssh.entry("host_key") {
            None => place::into_mapping(
                bare,
                ssh,
                |indent| format!("{}host_key: {list}\n", " ".repeat(indent)),
                &json_entry("host_key", &json!(keys)),
            ),
            // Comments between the keys would be lost.
            Some((_, old)) if bare[old.start..old.end].contains('#') => None,
            Some((_, old)) => Some(Splice { start: old.start, end: old.end, text: list.clone() }),
        },
    };
    let splice = splice.ok_or_else(|| {
        refuse(&format!("`ssh` of `{name}` is not a mapping that can be edited, or has comments in its keys"))
    })?;
    checked(mark, bare, &splice, &["environments", name.as_str(), "ssh", "host_key"], json!(keys))
        .ok_or_else(|| refuse("The edit would also change something else"))
}

fn in_lines(root: &Node) -> bool {
    matches!(root.kind, Kind::Mapping { braces: false, .. })
}

/// Returns an entry for flow style, as JSON, so that a JSON manifest stays JSON.
fn json_entry(key: &str, value: &Value) -> String {
    format!("{}: {}", Value::from(key), entry::json(value))
}

/// Returns the new text if it means the old text with `value` at `path`, and nothing else.
fn checked(mark: &str, bare: &str, splice: &Splice, path: &[&str], value: Value) -> Option<String> {
    let new = splice.apply(bare)?;
    let mut wanted: Value = yaml::value(bare).ok()?;
    let mut at = &mut wanted;
    for key in path {
        if at.is_null() {
            *at = json!({});
        }
        at = at.as_object_mut()?.entry(*key).or_insert(Value::Null);
    }
    *at = value;
    (yaml::value::<Value>(&new).ok()? == wanted).then(|| format!("{mark}{new}"))
}

/// Splits the text into a byte order mark and the rest.
fn split_mark(text: &str) -> (&str, &str) {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split_at(text.len() - bare.len())
}

fn refusal(why: &str, snippet: &str) -> Failure {
    Failure::new(Reason::ManifestUneditable, format!("The manifest cannot be edited: {}", lowered(why)))
        .details(snippet)
}

fn lowered(why: &str) -> String {
    let mut characters = why.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

fn taken(name: &Name, key: &Node, bare: &str, file: &str) -> Failure {
    let place = Location {
        file: file.to_owned(),
        line: key.line,
        column: key.column + 1,
        span: Some(key.start..key.end),
        source: Some(super::mask::masked(bare, &[]).into()),
    };
    Failure::new(Reason::ManifestUneditable, format!("The environment `{name}` is already in the manifest"))
        .hint("Choose another name, or change that entry by hand")
        .at(place)
}
