//! Files that are sent once and then belong to the host. Never marks a file that every release must bring.

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
    let glob = globset::GlobBuilder::new(pattern.trim_start_matches("./")).literal_separator(true).build();
    let glob =
        glob.map_err(|error| invalid(format!("{key}: {pattern} is not a pattern")).details(error.kind().to_string()))?;
    let glob = glob.compile_matcher();
    let found: BTreeSet<Utf8PathBuf> = files.filter(|path| glob.is_match(path)).cloned().collect();
    if found.is_empty() {
        let hint = format!("Patterns are relative to the application's directory; {pattern}/** is all below it");
        return Err(invalid(format!("{key}: {pattern} matches no file")).hint(hint));
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
                let message = format!("seed: {pattern} matches {path}, which must follow every release");
                failures.push(invalid(message).hint("Seed only data of the application"));
            } else if let Some(file) = files.get_mut(&path) {
                file.seed = true;
            }
        }
    }
    failures
}
