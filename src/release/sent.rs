//! A release as it is sent: its files with their digests, its image archives. Never holds more than
//! what the manifest and the application's directory say; nothing about the host.

use camino::{Utf8Path, Utf8PathBuf};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything of an application that goes to the host.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// Path below the host directory → file. `.env` is one of them where there are variables.
    pub files: BTreeMap<Utf8PathBuf, File>,
    /// Compose files, in order, relative to the host directory.
    pub compose_files: Vec<String>,
    /// Image archives.
    pub archives: Vec<Archive>,
    /// Directories that the services write to, below the host directory.
    pub directories: Directories,
    /// Directories that images are built from on the host; an empty one is the whole release.
    pub builds: BTreeSet<Utf8PathBuf>,
    /// Where a file needs a value that is not known: the templates, and the application's own `.env` if that is none.
    pub sources: BTreeMap<Utf8PathBuf, String>,
    /// Logins at registries, by host, as far as their passwords are known.
    pub logins: BTreeMap<String, Login>,
}

/// Directories that are made once, and whose they are then.
pub type Directories = BTreeMap<Utf8PathBuf, Owner>;

/// Whose a directory is on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The user that deployer logs in as; 1000 where that is root.
    User,
    /// A user and a group by their numbers.
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

    /// Its user and group on a host where `login` are those that deployer logs in as.
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
    /// Digest of a variable's value as the release's `.env` gives it. A value that is made from others stands for all
    /// of them.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<[u8; 32]> {
        let Content::Bytes(bytes) = &self.files.get(Utf8Path::new(".env"))?.content else { return None };
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
    /// The user there.
    pub username: String,
    /// The password; prints as nothing.
    pub password: SecretString,
}

/// One file of a release.
#[derive(Clone, Debug)]
pub struct File {
    /// Its content.
    pub content: Content,
    /// SHA-256 of the content; `None` where a secret it needs could not be resolved (offline).
    pub sha256: Option<[u8; 32]>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Permission bits: 0644 or 0755, or those of a file that only its owner may read.
    pub mode: u32,
    /// Whether the content holds a secret: shown nowhere, stored only as a keyed digest.
    pub secret: bool,
    /// Whether it is sent once and then belongs to the host.
    pub seed: bool,
}

/// Where a file's bytes are.
#[derive(Clone)]
pub enum Content {
    /// Rendered: in memory.
    Bytes(Arc<[u8]>),
    /// As it is on this machine.
    Path(Place),
}

/// A regular file of this machine, reached without following a link below `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A directory, absolute.
    pub root: Utf8PathBuf,
    /// The file's path below it, free of links when it was found.
    pub path: Utf8PathBuf,
}

/// One image made by `docker save`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The image's name, `NAME:TAG`.
    pub image: String,
    /// The archive on this machine.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The ids a Docker engine may give it once loaded: the config's digest, and the manifest's for
    /// engines with the containerd image store. Each `sha256:HEX`. The first is the canonical one.
    pub ids: Vec<String>,
    /// Its architecture as Docker names it (`amd64`, `arm64`).
    pub architecture: String,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Path(place) => write!(f, "Path({})", place.root.join(&place.path)),
        }
    }
}
