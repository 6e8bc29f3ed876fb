//! Permission bits: tests of the bits on this machine, and the bits that a file gets on the host. Pure.

use super::Files;
use super::references::{Reference, Role};
use super::sent::Content;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// Gives only the owner rights to the files of variables that nobody but Docker Compose reads: Git keeps no such
/// permission bits. A file that a container or a build may read keeps its bits, and so does a template.
pub fn close_env_files(references: &[Reference], builds: &BTreeSet<Utf8PathBuf>, files: &mut Files) {
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

/// Returns true if only the owner has rights.
pub const fn is_private(mode: u32) -> bool {
    // Nothing for the group and nothing for others.
    mode & (0o070 | 0o007) == 0
}

/// Returns the permission bits of a file on the host: only the owner has rights there if only the owner has rights
/// here.
pub const fn mode(mode: u32) -> u32 {
    if is_private(mode) {
        0o400 | mode & 0o700
    } else if mode & 0o111 != 0 {
        0o755
    } else {
        0o644
    }
}
