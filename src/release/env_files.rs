//! Permission bits of the files of variables that Compose files name. Changes no content of a file.

use super::Files;
use super::references::{Reference, Role};
use super::sent::Content;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// Gives only the owner rights to the files of variables that nobody but Docker Compose reads: Git keeps no such
/// permission bits. A file that a container or a build may read keeps its bits, and so does a template.
pub fn close(references: &[Reference], builds: &BTreeSet<Utf8PathBuf>, files: &mut Files) {
    let (variables, others): (Vec<_>, Vec<_>) =
        references.iter().partition(|reference| reference.role == Role::EnvFile);
    let named: BTreeSet<&Utf8Path> = variables.iter().filter_map(|reference| reference.path()).collect();
    for (path, file) in files.iter_mut().filter(|(path, _)| named.contains(path.as_path())) {
        let read =
            others.iter().any(|reference| reference.covers(path)) || builds.iter().any(|at| path.starts_with(at));
        if !read && matches!(file.content, Content::Path(_)) {
            file.mode &= 0o700;
        }
    }
}
