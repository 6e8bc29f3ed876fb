//! Files that are sent once and then belong to the host. Never marks a file that every release must bring.

use super::{ENV, Files, invalid};
use crate::failure::Failure;
use camino::Utf8PathBuf;
use std::collections::BTreeSet;

/// Marks the files that are sent once.
pub fn mark(patterns: &[String], compose_files: &[String], files: &mut Files) -> Vec<Failure> {
    let mut failures = Vec::new();
    for pattern in patterns {
        let glob = globset::GlobBuilder::new(pattern.trim_start_matches("./")).literal_separator(true).build();
        let glob = match glob {
            Ok(glob) => glob.compile_matcher(),
            Err(error) => {
                failures.push(invalid(format!("seed: {pattern} is not a pattern")).details(error.kind().to_string()));
                continue;
            }
        };
        let matched: BTreeSet<Utf8PathBuf> = files.keys().filter(|path| glob.is_match(path)).cloned().collect();
        if matched.is_empty() {
            let hint = format!("Patterns are relative to the application's directory; {pattern}/** is all below it");
            failures.push(invalid(format!("seed: {pattern} matches no file")).hint(hint));
        }
        for path in matched {
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
