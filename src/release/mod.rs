//! Turns the manifest's application section into the files and images of a release. Contacts no host.

pub mod archive;
pub mod builds;
mod confidential;
pub mod dotenv;
pub mod sent;
pub mod template;

mod budget;
mod compose;
mod compose_files;
mod content;
mod env_files;
mod hash;
pub mod image_name;
mod interpolation;
mod left_out;
mod pattern;
mod permissions;
pub mod published;
mod references;
mod secrecy;
mod seed;
mod specification;
mod tarball;
mod tracker;
mod tree;
mod yaml;

pub(crate) use budget::Budget;
pub(crate) use compose_files::within;
pub(crate) use hash::digest_of;
pub(crate) use left_out::Rules;
pub use tarball::{Tarball, WHOLE};

use crate::manifest::environment::{Application, Source};
use crate::model::failure::{Failure, Reason};
use crate::model::secret::{Redactor, Variable};
use camino::Utf8PathBuf;
use sent::{Content, File, Release};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads an application: its files in the form that they will have on the host, its Compose files and its image
/// archives.
///
/// Files that need a value that is `None` have no digest and no content. `known` learns the credentials in the
/// application's own files before any failure can quote them.
///
/// # Errors
/// Every reason why the application cannot be released, not only the first one.
pub fn load(
    application: &Application,
    values: &BTreeMap<String, Variable>,
    known: &Redactor,
) -> Result<Release, Vec<Failure>> {
    let (archives, mut failures) = archives(&application.archives);
    let found = match &application.source {
        Source::Compose(compose) => compose::files(compose, application, values, known),
        Source::Tracker(tracker) => {
            let found = tracker::files(tracker, application, values);
            found.map(|(files, compose_files, directories)| {
                known.learn(&confidential::of(&files));
                Release { files, compose_files, directories, ..Release::default() }
            })
        }
    };
    let release = match found {
        Ok(release) => release,
        Err(several) => {
            failures.extend(several);
            return Err(failures);
        }
    };
    if failures.is_empty() { Ok(Release { archives, ..release }) } else { Err(failures) }
}

/// Files by their paths below the host directory.
type Files = BTreeMap<Utf8PathBuf, File>;

/// Returns the readable archives, and a failure for every other one.
fn archives(wanted: &BTreeMap<String, Utf8PathBuf>) -> (Vec<sent::Archive>, Vec<Failure>) {
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for (image, path) in wanted {
        let given = wanted.iter().filter(|(_, other)| *other == path).map(|(image, _)| image.clone()).collect();
        match archive::read(image, path, &given) {
            Ok(archive) => found.push(archive),
            Err(failure) => failures.push(failure),
        }
    }
    (found, failures)
}

/// The name of the file from which Compose takes its variables.
pub(crate) const ENV: &str = ".env";

/// Returns a failure of the application's own files.
pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Reason::ApplicationInvalid, message)
}

/// Returns a file held in memory. A file without text lacks a value that is not known.
fn in_memory(text: Option<String>, mode: u32, secret: bool) -> File {
    let sha256 = text.as_deref().map(|text| hash::digest(text.as_bytes()));
    let bytes = text.as_ref().map_or(0, |text| text.len() as u64);
    File {
        content: Content::Bytes(Arc::new(text.unwrap_or_default().into_bytes().into())),
        sha256,
        bytes,
        mode,
        secret,
        seed: false,
    }
}

/// Returns a file that is sent unchanged.
fn of_bytes(bytes: Vec<u8>, mode: u32) -> File {
    let (sha256, length) = (hash::digest(&bytes), bytes.len() as u64);
    File {
        content: Content::Bytes(Arc::new(bytes.into())),
        sha256: Some(sha256),
        bytes: length,
        mode,
        secret: false,
        seed: false,
    }
}
