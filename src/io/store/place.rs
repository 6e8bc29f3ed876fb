//! The location of the store: parses its URL, creates its folder and file. Does not open the database.

use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

/// The folder that only we use, and that therefore gets its own `.gitignore`.
const OWN_FOLDER: &str = ".deployer";

/// Returns the database file that `url` names. A relative path is below `directory`.
pub(super) fn path(url: &str, directory: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(Failure::new(Reason::Usage, format!("The state store {url:?} is not a URL"))
            .hint(format!("Write sqlite:{url}")));
    };
    match scheme {
        "sqlite" => {}
        "postgres" | "postgresql" => {
            return Err(Failure::new(
                Reason::Usage,
                "A state store in PostgreSQL is not supported by this version yet",
            )
            .hint("Use sqlite:PATH, as in sqlite:.deployer/state.db"));
        }
        _ => {
            return Err(Failure::new(Reason::Usage, format!("The state store's URL begins with {scheme:?}"))
                .hint("Use sqlite:PATH, as in sqlite:.deployer/state.db"));
        }
    }
    let file = rest.strip_prefix("//").unwrap_or(rest);
    if file.is_empty() || file.ends_with('/') || file == ":memory:" {
        return Err(Failure::new(Reason::Usage, format!("The state store's URL {url:?} names no file"))
            .hint("Use sqlite:PATH, as in sqlite:.deployer/state.db"));
    }
    Ok(directory.join(file))
}

impl super::Store {
    /// Returns the database file that `url` names, if the URL is valid. A relative path is below `directory`.
    #[must_use]
    pub fn file(url: &str, directory: &Utf8Path) -> Option<Utf8PathBuf> {
        path(url, directory).ok()
    }

    /// Returns the folder of that file.
    #[must_use]
    pub fn folder(url: &str, directory: &Utf8Path) -> Option<Utf8PathBuf> {
        Self::file(url, directory)?.parent().map(Utf8Path::to_owned)
    }
}

/// Creates the folder (0700) and an empty file (0600) if they do not exist.
pub(super) fn create(file: &Utf8Path) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if folder.file_name() == Some(OWN_FOLDER) {
            fs::write(folder.join(".gitignore"), "*\n")?;
        }
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut file) => file.flush(),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns true if the file exists. Anything other than a regular file is an error.
pub(super) fn exists(file: &Utf8Path) -> io::Result<bool> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(metadata) if metadata.is_dir() => Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory")),
        Ok(_) => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
