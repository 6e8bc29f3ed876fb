//! Files that are sent once and then belong to the host. Never marks a file that every release must bring.

use super::pattern::{self, shown};
use super::{ENV, Files, invalid};
use crate::failure::Failure;
use camino::Utf8PathBuf;
use std::collections::BTreeSet;

/// The files that a pattern of the manifest's key `key` matches.
///
/// # Errors
/// It is no pattern, or matches nothing.
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
        let hint = format!("Patterns are relative to the application's directory; {named}/** is all below it");
        return Err(invalid(format!("{key}: {named} matches no file")).hint(hint));
    }
    Ok(found)
}

/// Marks the files that are sent once.
pub fn mark(patterns: &[String], compose_files: &[String], files: &mut Files) -> Vec<Failure> {
    let mut failures = Vec::new();
    for pattern in patterns {
        let matched = matched("seed", pattern, files.keys());
        for path in matched.map_err(|failure| failures.push(failure)).unwrap_or_default() {
            if path == ENV || compose_files.iter().any(|file| *file == path) {
                let message = format!("seed: {} matches {path}, which must follow every release", shown(pattern));
                failures.push(invalid(message).hint("Seed only data of the application"));
            } else if let Some(file) = files.get_mut(&path) {
                file.seed = true;
            }
        }
    }
    failures
}
