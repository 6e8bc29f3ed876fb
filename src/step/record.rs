//! What the host keeps about one environment, under `/var/lib/deployer/PROJECT--ENV/`: its marker, its
//! digest key and the release that last converged. Never holds a secret, only keyed digests.

use crate::application::release::Directories;
use crate::manifest::environment::Environment;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format these records are written in.
pub const FORMAT: u32 = 1;

/// Whose directory this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Format of everything beside it.
    pub version: u32,
    /// The project.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// Whether it is left alone until resumed.
    #[serde(default)]
    pub suspended: bool,
    /// Whether it may not be destroyed.
    #[serde(default)]
    pub protect: bool,
}

impl Marker {
    /// The marker of an environment.
    #[must_use]
    pub fn of(environment: &Environment, suspended: bool, protect: bool) -> Self {
        Self {
            version: FORMAT,
            project: environment.project.to_string(),
            environment: environment.name.to_string(),
            suspended,
            protect,
        }
    }
}

/// A release as the host has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Format.
    pub version: u32,
    /// Its id; begins with the time of making, by its maker's clock.
    pub id: String,
    /// The host's serial when it was made: a later release has a higher one, whatever the clocks of its makers say.
    #[serde(default)]
    pub order: u64,
    /// Digest over everything it was made from; equal inputs have equal digests.
    pub digest: String,
    /// The host directory its files lie in.
    pub directory: String,
    /// Compose project.
    pub project: String,
    /// Compose files, relative to the directory.
    pub compose_files: Vec<String>,
    /// The files it owns.
    pub files: BTreeMap<Utf8PathBuf, FileRecord>,
    /// The directories that its services write to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub directories: Directories,
    /// Its services; empty until it was validated.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceRecord>,
    /// Image → its digest at its registry, of those that follow their tag there; empty until it was switched to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pulled: BTreeMap<String, String>,
}

/// One digest for the inputs of a release and what registries had under its images' tags.
#[must_use]
pub fn identity(digest: &str, pulled: &BTreeMap<String, String>) -> String {
    if pulled.is_empty() {
        return digest.to_owned();
    }
    let images = pulled.iter().fold(digest.to_owned(), |text, (image, found)| text + "\0" + image + "\0" + found);
    blake3::hash(images.as_bytes()).to_hex()[..16].to_owned()
}

impl ReleaseRecord {
    /// What tells it from every other release: its inputs, and the images that its tags led to.
    #[must_use]
    pub fn identity(&self) -> String {
        identity(&self.digest, &self.pulled)
    }

    /// Its place among the releases of a host, for sorting.
    #[must_use]
    pub fn age(&self) -> (u64, &str) {
        (self.order, &self.id)
    }

    /// Whether it converged once, so that the host knows all it takes to run it again.
    #[must_use]
    pub fn restorable(&self) -> bool {
        self.services.values().any(|service| service.end.is_some())
    }
}

/// One file of a release on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Mode and digest, as in the facts.
    pub value: String,
    /// The release that last wrote it. A service that reads it is recreated when this moves, also where
    /// the content only came back to what it was.
    pub placed: String,
}

/// One service of a release on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Its image as the Compose file names it.
    pub image: String,
    /// Shipped files that it mounts or reads, below the directory.
    pub reads: Vec<Utf8PathBuf>,
    /// Keyed digest of what Compose itself writes into its containers: configs and secrets that stand in the Compose
    /// file or in a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// What it mounts from below the application's directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Utf8PathBuf>,
    /// Host ports it publishes.
    pub ports: Vec<PublishedPort>,
    /// How many containers it has.
    pub replicas: u32,
    /// Whether it only runs before the switch to its release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
    /// How it ended when the release converged: `healthy`, `running` or `completed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Compose's own digest of the definition of its containers, read from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The image's id on the host, read from its containers: what its name led to when the release converged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Keyed digest of what its image is built from on the host, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

/// Inputs that are not to be tried again until they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Digest of the inputs, as in [`ReleaseRecord::digest`].
    pub digest: String,
    /// And what the tags of its images led to, as in [`ReleaseRecord::pulled`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pulled: BTreeMap<String, String>,
    /// The release that was made of them.
    pub release: String,
    /// Who turned it down.
    pub by: Rejection,
    /// Why, for people.
    pub message: String,
    /// When.
    pub at: jiff::Timestamp,
}

impl Rejected {
    /// Whether it is this release that was turned down.
    #[must_use]
    pub fn is_of(&self, release: &ReleaseRecord) -> bool {
        self.digest == release.digest && self.pulled == release.pulled
    }
}

/// Who turned a release down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rejection {
    /// It did not become healthy.
    Health,
    /// Somebody rolled it back by name.
    Hand,
}

/// A port that Compose publishes on the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Host address it binds; empty for all.
    pub address: String,
    /// Port on the host.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// Keys the digests of secrets, so that the store alone reveals nothing. Made on the host; held in
/// memory only.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// A key from its 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text.trim()).ok().map(|hash| Self(*hash.as_bytes()))
    }

    /// The digest of secret content whose SHA-256 is given: keyed BLAKE3, first 16 bytes in hex.
    #[must_use]
    pub fn digest(&self, sha256: &[u8; 32]) -> String {
        blake3::keyed_hash(&self.0, sha256).to_hex()[..32].to_owned()
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey")
    }
}
