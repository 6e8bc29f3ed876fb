//! A release as it is sent: its files with their digests, and its image archives. Contains only data from the manifest
//! and the application's directory, and no data about the host.

use super::published::Published;
use camino::{Utf8Path, Utf8PathBuf};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All parts of an application that go to the host.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// The files by their paths below the host directory. `.env` is one of them if there are variables.
    pub files: BTreeMap<Utf8PathBuf, File>,
    /// Compose files, in order, relative to the host directory.
    pub compose_files: Vec<String>,
    /// Image archives.
    pub archives: Vec<Archive>,
    /// Directories that the services write to, below the host directory.
    pub directories: Directories,
    /// Directories that images are built from on the host; an empty one is the whole release.
    pub builds: BTreeSet<Utf8PathBuf>,
    /// The ports that the Compose files publish literally.
    pub published: Vec<Published>,
    /// A warning, if the application names a Compose project other than the environment's.
    pub other_project: Option<String>,
    /// The templates, and the application's own `.env` if it is not a template, if a file needs a value that is not
    /// known.
    pub sources: BTreeMap<Utf8PathBuf, String>,
    /// Logins at registries whose passwords are known, by host.
    pub logins: BTreeMap<String, Login>,
    /// True if the application could not be read, so that nothing else is known about it. The live release is kept.
    pub unread: bool,
}

/// Directories that are created once, each with its owner.
pub type Directories = BTreeMap<Utf8PathBuf, Owner>;

/// The owner of a directory on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The user that deployer logs in as, or 1000 if that user is root.
    User,
    /// A user and a group, by their ids.
    Ids(u32, u32),
}

impl Owner {
    /// Reads `user` or `UID:GID`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "user" {
            return Some(Self::User);
        }
        let (user, group) = text.split_once(':')?;
        Some(Self::Ids(user.parse().ok()?, group.parse().ok()?))
    }

    /// Returns the text of the owner in the digests of releases. Records on hosts contain such digests.
    #[must_use]
    pub fn in_digest(self) -> String {
        match self {
            Self::User => "User".to_owned(),
            Self::Ids(user, group) => format!("Ids({user}, {group})"),
        }
    }

    /// Returns the user and group of the owner on a host where deployer logs in with the ids `login`.
    #[must_use]
    pub const fn ids(self, login: (u32, u32)) -> (u32, u32) {
        match (self, login) {
            (Self::Ids(user, group), _) => (user, group),
            (Self::User, (0, _)) => (1000, 1000),
            (Self::User, login) => login,
        }
    }
}

impl Release {
    /// Returns the release of an application that could not be read.
    #[must_use]
    pub fn unread() -> Self {
        Self { unread: true, ..Self::default() }
    }

    /// Returns a digest of a variable's value in the release's `.env`. For a value that contains other variables, the
    /// digest covers the whole file.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<[u8; 32]> {
        let Content::Bytes(bytes) = &self.files.get(Utf8Path::new(".env"))?.content else { return None };
        let bytes = bytes.expose_secret();
        let text = std::str::from_utf8(bytes).ok()?;
        let statements = super::dotenv::statements(text).ok()?;
        let value = statements.iter().rev().find(|statement| statement.key == name)?.value?;
        let whole = value.replace("\\$", "").contains('$');
        Some(*blake3::hash(if whole { bytes } else { value.as_bytes() }).as_bytes())
    }
}

/// A login at a registry.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user name at the registry.
    pub username: String,
    /// The password, which `Debug` does not print.
    pub password: SecretString,
}

/// One file of a release.
#[derive(Clone, Debug)]
pub struct File {
    /// Its content.
    pub content: Content,
    /// SHA-256 of the content; `None` if a secret that it needs could not be resolved (offline).
    pub sha256: Option<[u8; 32]>,
    /// Length in bytes.
    pub bytes: u64,
    /// Permission bits: 0644 or 0755, or those of a file that only its owner may read.
    pub mode: u32,
    /// True if the content holds a secret: the content is not shown, and only a keyed digest of it is stored.
    pub secret: bool,
    /// True if the file is sent once and then belongs to the host.
    pub seed: bool,
}

/// The source of a file's bytes.
#[derive(Clone)]
pub enum Content {
    /// Rendered bytes in memory, possibly secret.
    Bytes(Arc<SecretSlice<u8>>),
    /// A file on this machine.
    Path(Place),
}

/// A regular file of this machine, reached without following a link below `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// An absolute directory.
    pub root: Utf8PathBuf,
    /// The file's path below the directory, without links when the file was found.
    pub path: Utf8PathBuf,
}

/// One image made by `docker save`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The image's name, `NAME:TAG`.
    pub image: String,
    /// The path of the archive on this machine.
    pub path: Utf8PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// The ids that a Docker engine may give the loaded image: the digest of its config, and the digest of its manifest
    /// in engines with the containerd image store. Each is `sha256:HEX`. The first is the canonical one.
    pub ids: Vec<String>,
    /// Architecture in Docker's terms (`amd64`, `arm64`).
    pub architecture: String,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.expose_secret().len()),
            Self::Path(place) => write!(f, "Path({})", place.root.join(&place.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn digests_of_releases_keep_their_texts() {
        assert_eq!(Owner::User.in_digest(), "User");
        assert_eq!(Owner::Ids(1000, 33).in_digest(), "Ids(1000, 33)");
    }
}
