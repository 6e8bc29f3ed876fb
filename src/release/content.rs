//! Reads the content of a release's files: small files into memory, other files as a stream that is checked against the
//! recorded length and digest. Follows no link and holds no large file in memory.

use super::invalid;
use super::sent::{Content, File, Place};
use crate::manifest::below;
use crate::model::bounded;
use crate::model::failure::Failure;
use camino::{Utf8Path, Utf8PathBuf};
use secrecy::ExposeSecret as _;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// The largest file that is read as text (bytes): a template, a Compose file or a file of variables.
pub const LARGEST_TEXT: u64 = 16 << 20;

impl File {
    /// Reads the content if it has at most `limit` bytes.
    ///
    /// # Errors
    /// `FileTooLarge`, or the error of reading the file.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        match &self.content {
            Content::Bytes(bytes) if bytes.expose_secret().len() as u64 <= limit => Ok(bytes.expose_secret().to_vec()),
            Content::Path(place) => place.read(limit),
            Content::Bytes(_) => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    /// Returns the content as it was when the release was loaded. Reading ends with an error if the content has changed
    /// since then.
    ///
    /// # Errors
    /// The content is not known or cannot be opened. The error names `path`.
    pub fn checked(&self, path: &Utf8Path) -> io::Result<Checked<'_>> {
        let Some(recorded) = self.sha256 else {
            return Err(refused(format!("{path} needs a value that could not be resolved")));
        };
        let inner: Box<dyn Read> = match &self.content {
            Content::Bytes(bytes) => Box::new(bytes.expose_secret()),
            Content::Path(place) => Box::new(place.open().map_err(|error| named(path, &error))?),
        };
        Ok(Checked { inner, path: path.to_owned(), hasher: Sha256::new(), left: self.bytes, recorded })
    }
}

/// A content that is being read, checked against its recorded length and digest.
pub struct Checked<'a> {
    inner: Box<dyn Read + 'a>,
    path: Utf8PathBuf,
    hasher: Sha256,
    left: u64,
    recorded: [u8; 32],
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer).map_err(|error| named(&self.path, &error))?;
        self.hasher.update(&buffer[..read]);
        let left = self.left.checked_sub(read as u64);
        let whole = || left == Some(0) && <[u8; 32]>::from(self.hasher.clone().finalize()) == self.recorded;
        if left.is_none() || (read == 0 && !whole()) {
            return Err(refused(format!("{} changed while it was being read", self.path)));
        }
        self.left = left.unwrap_or_default();
        Ok(read)
    }
}

impl Place {
    /// Opens the file if it is still a regular file and no part of its path is a link.
    pub fn open(&self) -> io::Result<std::fs::File> {
        below::open(&self.root, &self.path)
    }

    /// Reads the file if it has at most `limit` bytes.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        bounded::whole(self.open()?, limit)
    }
}

/// Returns a file's content as text.
pub(super) fn text(directory: &Utf8Path, path: &Utf8Path, file: &File) -> Result<String, Failure> {
    let full = directory.join(path);
    let bytes = file.read(LARGEST_TEXT).map_err(|error| unreadable(&full, &error))?;
    String::from_utf8(bytes).map_err(|_| invalid(format!("{full} is not UTF-8 text")))
}

/// Returns the failure for a text that cannot be read.
pub(super) fn unreadable(full: &Utf8Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::FileTooLarge {
        let message = format!("{full} is larger than {} MiB, the most that is read as text", LARGEST_TEXT >> 20);
        return invalid(message).hint(format!("Make {full} smaller, or send it as it is, without templates"));
    }
    invalid(format!("{full} cannot be read")).details(error.to_string())
}

fn named(path: &Utf8Path, error: &io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Interrupted {
        return error.kind().into();
    }
    io::Error::new(error.kind(), format!("{path} cannot be read: {error}"))
}

fn refused(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
