//! What the host keeps about one environment, under `/var/lib/deployer/PROJECT--ENV/`: its marker, its
//! digest key and the release that last converged. Never holds a secret, only keyed digests.

use crate::manifest::environment::Environment;
use crate::model::checked::{self, ImageId, ReleaseId};
use crate::release::sent::Directories;
use crate::resource::compose::model::SERVICES;
use camino::{Utf8Path, Utf8PathBuf};
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
    /// Reads a marker as a host has it; `None` where it is not JSON of this form, or names what cannot be a name.
    #[must_use]
    pub fn read(json: &str) -> Option<Self> {
        let marker = serde_json::from_str::<Self>(json).ok();
        marker.filter(|marker| checked::is_plain(&marker.project) && checked::is_plain(&marker.environment))
    }

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

/// Most entries of each list of a record, and ports of a release in all.
const ENTRIES: usize = 200_000;

impl ReleaseRecord {
    /// Reads a record as a host has it; `None` where it is not JSON of this form, or holds a name, an id or a path that
    /// is none.
    #[must_use]
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(json).ok().filter(|record| record.version > FORMAT || record.is_sound())
    }

    /// Says whether everything in it is of the form that we write.
    fn is_sound(&self) -> bool {
        let files = self.files.iter().all(|(path, file)| checked::is_relative(path) && file.is_sound());
        let services = self.services.iter().all(|(name, service)| checked::is_service(name) && service.is_sound());
        let pulled = self.pulled.iter().all(|(image, digest)| is_pulled(image, digest));
        ReleaseId::parse(&self.id).is_some()
            && (self.digest.is_empty() || checked::is_hex(&self.digest))
            && checked::is_absolute(&self.directory)
            && checked::is_plain(&self.project)
            && self.compose_files.iter().all(|path| checked::is_relative(Utf8Path::new(path)))
            && self.directories.keys().all(|path| checked::is_relative(path))
            && self.services.len() <= SERVICES
            && self.services.values().map(|service| service.ports.len()).sum::<usize>() <= ENTRIES
            && files
            && services
            && pulled
    }

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
    /// Its length; the look at a host searches for these fields in this order. Former versions did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl FileRecord {
    fn is_sound(&self) -> bool {
        self.value.len() <= 100 && self.value == checked::said(&self.value) && ReleaseId::parse(&self.placed).is_some()
    }
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
    /// Its mounts from below the application's directory, also of volumes, configs and secrets that lead there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Utf8PathBuf>,
    /// Its mounts from anywhere else on the host, absolute: true where it may write there. The root directory is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outside: BTreeMap<Utf8PathBuf, bool>,
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

impl ServiceRecord {
    fn is_sound(&self) -> bool {
        let hex = |text: &Option<String>| text.as_deref().is_none_or(checked::is_hex);
        (self.image.is_empty() || checked::is_image(&self.image))
            && self.reads.iter().all(|path| checked::is_relative(path))
            // The directory itself is an empty path.
            && self.mounts.iter().all(|path| path.as_str().is_empty() || checked::is_relative(path))
            && self.outside.keys().all(|path| checked::is_absolute(path.as_str()))
            && self.ports.iter().all(PublishedPort::is_sound)
            && self.end.as_deref().is_none_or(|end| end == checked::said(end))
            && self.image_id.as_deref().is_none_or(|id| ImageId::parse(id).is_some())
            && [&self.inline, &self.hash, &self.build].into_iter().all(hex)
    }
}

/// Says whether an image's name leads to a digest of a registry.
fn is_pulled(image: &str, digest: &str) -> bool {
    checked::is_image(image) && ImageId::parse(digest).is_some()
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
    /// Reads the list of them that a host keeps, without those that are not of the form that we write.
    #[must_use]
    pub fn read_list(json: &str) -> Vec<Self> {
        let mut all: Vec<Self> = serde_json::from_str(json).unwrap_or_default();
        all.retain(|one| {
            (one.digest.is_empty() || checked::is_hex(&one.digest))
                && (one.release.is_empty() || ReleaseId::parse(&one.release).is_some())
                && one.pulled.iter().all(|(image, digest)| is_pulled(image, digest))
        });
        all
    }

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

impl PublishedPort {
    fn is_sound(&self) -> bool {
        let address = self.address.trim_matches(['[', ']']);
        (address.is_empty() || address.parse::<std::net::IpAddr>().is_ok()) && checked::word(&self.protocol).is_some()
    }
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
