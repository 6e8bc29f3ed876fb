//! Replaces a manifest's file in one step. Never leaves half a file, changes its mode, or overwrites
//! what someone else wrote meanwhile.

use crate::failure::{Failure, Reason};
use camino::Utf8Path;
use std::fs;
use std::io::Write;

/// Writes `new` to `path`, whose text was `old` when it was read.
///
/// # Errors
/// [`Reason::ManifestUneditable`] where the file cannot be written, or has changed since.
pub fn write(path: &Utf8Path, old: &str, new: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Reason::ManifestUneditable, format!("{path} cannot be written: {error}"))
            .hint("Check the permissions of the file and its directory")
            .or_disk(&error, path)
    };
    // A link stays a link: the file it leads to is replaced.
    let target = path.canonicalize_utf8().map_err(failed)?;
    if fs::read_to_string(&target).map_err(failed)? != old {
        return Err(Failure::new(Reason::ManifestUneditable, format!("{path} changed while it was edited"))
            .hint("Run the command again"));
    }
    let directory = target.parent().unwrap_or(Utf8Path::new("/"));
    let mut temporary = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    temporary.write_all(new.as_bytes()).map_err(failed)?;
    let mode = fs::metadata(&target).map_err(failed)?.permissions();
    temporary.as_file().set_permissions(mode).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(&target).map_err(|error| failed(error.error))?;
    Ok(())
}
