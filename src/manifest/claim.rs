//! Checks the paths that the manifest names on this machine's disk, all in one pass. Reads only signing keys of package
//! repositories and scripts for hosts.

use super::environment::Name;
use super::faults::Report;
use super::written::Spot;
use crate::manifest::below;
use crate::manifest::scope::{Refusal, Scope};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::ErrorKind;

/// Largest size of a key or a script, in bytes.
const LARGEST: u64 = 1 << 20;

/// A path that must exist, and the kind of file that it must be.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Absolute path.
    pub path: Utf8PathBuf,
    /// Required kind of file.
    pub need: Need,
    /// Purpose of the file, as messages name it.
    pub what: &'static str,
    /// Position in the manifest.
    pub spot: Spot,
    /// Environment that needs the path.
    pub environment: Option<Name>,
}

/// Required kind of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Directory,
    File,
    /// A file that is read only when its value is needed: it may be anywhere on the disk.
    Value,
    /// A file like [`Need::Value`] that only its owner should be able to read.
    Secret,
    /// A file with an ASCII-armoured key. Its text is read.
    Key,
    /// A text file that runs on a host. Its text is read.
    Script,
}

impl Need {
    /// Returns true if read-only commands read the file, or everything in the directory.
    const fn is_read(self) -> bool {
        match self {
            Self::Directory | Self::File | Self::Key | Self::Script => true,
            Self::Value | Self::Secret => false,
        }
    }
}

/// Texts of the files that were read.
#[derive(Default)]
pub struct Texts {
    /// Keys with their environments.
    pub keys: Vec<(Name, String)>,
    /// Scripts, by path.
    pub scripts: BTreeMap<Utf8PathBuf, String>,
}

/// Checks every path against the scope and the disk, and reads keys and scripts.
pub fn settle(claims: &[Claim], scope: &Scope, report: &mut Report) -> Texts {
    let mut texts = Texts::default();
    for claim in claims {
        report.concerning(claim.environment.as_ref().map(Name::as_str));
        if texts.scripts.contains_key(&claim.path) && claim.need == Need::Script || !look(claim, scope, report) {
            continue;
        }
        match claim.need {
            Need::Key => texts.keys.extend(claim.environment.clone().zip(key(claim, report))),
            Need::Script => texts.scripts.extend(script(claim, report).map(|text| (claim.path.clone(), text))),
            Need::Directory | Need::File | Need::Value | Need::Secret => {}
        }
    }
    report.concerning(None);
    texts
}

/// Returns the texts of keys and scripts from a source other than the disk, without checking them.
pub fn texts(claims: &[Claim], text_of: &mut dyn FnMut(&Utf8Path) -> Option<String>) -> Texts {
    let mut texts = Texts::default();
    for claim in claims {
        match claim.need {
            Need::Key => texts.keys.extend(claim.environment.clone().zip(text_of(&claim.path))),
            Need::Script => texts.scripts.extend(text_of(&claim.path).map(|text| (claim.path.clone(), text))),
            Need::Directory | Need::File | Need::Value | Need::Secret => {}
        }
    }
    texts
}

fn look(claim: &Claim, scope: &Scope, report: &mut Report) -> bool {
    let Claim { path, what, spot, .. } = claim;
    if let Some(Refusal { why, hint }) = scope.refuse(path).filter(|_| claim.need.is_read()) {
        report.fault(*spot, format!("{what} {why}"), hint);
        return false;
    }
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            let message = match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => format!("{what} does not exist"),
                _ => format!("{what} cannot be read: {error}"),
            };
            report.fault(*spot, message, format!("Looked for {path}"));
            return false;
        }
    };
    let wanted = if claim.need == Need::Directory { "directory" } else { "file" };
    if claim.need == Need::Directory && !found.is_dir() || claim.need != Need::Directory && found.is_dir() {
        report.fault(*spot, format!("{what} is not a {wanted}"), format!("Looked at {path}"));
        return false;
    }
    if claim.need == Need::Secret && others_can_read(&found) {
        report.warn(*spot, format!("Others can read {path}. Fix: chmod 600 {path}"));
    }
    true
}

fn others_can_read(found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    found.is_file() && found.mode() & 0o044 != 0
}

fn key(claim: &Claim, report: &mut Report) -> Option<String> {
    let text =
        below::text(&claim.path, LARGEST).ok().filter(|text| text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----"));
    if text.is_none() {
        let message = format!("{} is not an ASCII-armoured public key", claim.what);
        let hint = "It begins with -----BEGIN PGP PUBLIC KEY BLOCK-----; gpg --armor --export writes one";
        report.fault(claim.spot, message, hint);
    }
    text
}

fn script(claim: &Claim, report: &mut Report) -> Option<String> {
    let text = below::text(&claim.path, LARGEST).ok().filter(|text| !text.trim().is_empty() && !text.contains('\0'));
    if text.is_none() {
        let hint = "Name a text file of at most 1 MiB that is not empty";
        report.fault(claim.spot, format!("{} is not a script", claim.what), hint);
    }
    text
}
