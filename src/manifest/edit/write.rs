//! Creates and replaces a manifest's file in one step. Does not leave half a file, change the file's mode, or overwrite
//! a concurrent change.

use crate::manifest::below;
use crate::manifest::yaml::LARGEST;
use crate::model::failure::{Failure, Reason};
use camino::Utf8Path;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;

/// Creates the file, whole or not at all, with the mode of any new file.
///
/// # Errors
/// `AlreadyExists` if the path exists.
pub fn create(path: &Utf8Path, text: &str) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let everyones = Permissions::from_mode(0o666);
    let directory = path.parent().unwrap_or(Utf8Path::new("/"));
    let mut draft = tempfile::Builder::new().permissions(everyones).tempfile_in(directory).map_err(unnamed)?;
    draft.write_all(text.as_bytes()).map_err(unnamed)?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// Removes the temporary file's name from an error, because it means nothing to the user.
fn unnamed(error: io::Error) -> io::Error {
    let text = error.to_string();
    let kind = error.kind();
    text.split_once(" at path ").map_or(error, |(why, _)| io::Error::new(kind, why))
}

/// Writes `new` to `path`, whose text was `old` when the caller read it.
///
/// # Errors
/// [`Reason::ManifestUneditable`] if the file cannot be written or has changed since.
pub fn write(path: &Utf8Path, old: &str, new: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(Reason::ManifestUneditable, format!("{path} cannot be written"))
            .because(unnamed(error))
            .hint("Check the permissions of the file and its directory")
            .or_disk(path)
    };
    // A link stays a link: its target is replaced.
    let target = path.canonicalize_utf8().map_err(failed)?;
    if below::text(&target, LARGEST as u64).map_err(failed)? != old {
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
