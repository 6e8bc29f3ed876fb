//! Files that are sent once and then belong to the host. A file that every release must replace is not marked.

use super::pattern::{self, shown};
use super::references::Reference;
use super::{ENV, Files, invalid};
use crate::manifest::environment::Pattern;
use crate::model::failure::Failure;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// Returns the files that a pattern of the manifest's key `key` matches.
///
/// # Errors
/// The text is not a pattern, or it matches nothing.
pub fn matched<'a>(
    key: &str,
    pattern: &str,
    files: impl Iterator<Item = &'a Utf8PathBuf>,
) -> Result<BTreeSet<Utf8PathBuf>, Failure> {
    let named = shown(pattern);
    let glob = pattern::compile(pattern.trim_start_matches("./"), true);
    let glob = glob.map_err(|why| invalid(format!("{key}: {named} is not a pattern")).details(why))?;
    let found: BTreeSet<Utf8PathBuf> = files.filter(|path| glob.is_match(path)).cloned().collect();
    if found.is_empty() {
        let hint = format!(
            "Patterns are relative to the application's directory; {named}/** matches everything below {named}"
        );
        return Err(invalid(format!("{key}: {named} matches no file")).hint(hint));
    }
    Ok(found)
}

/// Marks the files that are sent once.
///
/// # Errors
/// A file that Compose parses cannot be one of them (one failure each). A user who can write such a file on the host
/// could choose what root starts, and Compose reads the file of the release in any case.
pub fn mark(
    patterns: &[Pattern],
    compose_files: &[String],
    references: &[Reference],
    files: &mut Files,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for Pattern { text: pattern, place } in patterns {
        let found = failures.len();
        let matched = matched("seed", pattern, files.keys());
        for path in matched.map_err(|failure| failures.push(failure)).unwrap_or_default() {
            if let Some(what) = parsed(&path, compose_files, references) {
                failures.push(refused(&shown(pattern), &path, what));
            } else if let Some(file) = files.get_mut(&path) {
                file.seed = true;
            }
        }
        failures[found..].iter_mut().for_each(|failure| failure.location.clone_from(place));
    }
    failures
}

/// Returns the role of a file, as the end of a sentence, if Compose parses it with these Compose files directly or
/// through the files in `references`. A name with an unknown variable covers every file that it may mean.
fn parsed(path: &Utf8Path, compose_files: &[String], references: &[Reference]) -> Option<&'static str> {
    if path == ENV {
        return Some("the file of Compose's variables");
    }
    if compose_files.iter().any(|file| *file == path) {
        return Some("a Compose file");
    }
    references.iter().filter(|one| one.covers(path)).find_map(|one| one.role.parsed())
}

fn refused(pattern: &str, path: &Utf8Path, what: &str) -> Failure {
    let message = format!("seed: {pattern} matches {path}, which is {what} and must follow every release");
    let hint = match path.as_str().rsplit_once('/') {
        Some((directory, _)) => {
            format!("Move {path} out of {directory}, or name other files in application.compose.seed")
        }
        None => format!("Name other files than {path} in application.compose.seed"),
    };
    invalid(message).hint(hint)
}
