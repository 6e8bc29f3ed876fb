//! Records that the host keeps about one environment, under `/var/lib/deployer/PROJECT--ENV/`: its digest key and
//! the releases. The records hold no secrets, only keyed digests.

use super::object_settings::{Objects, is_name};
use crate::model::checked::{self, ImageId, ReleaseId};
use crate::release::sent::Directories;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Format in which these records are written.
pub const FORMAT: u32 = 1;

/// Release as the host has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// The format of the record.
    pub version: u32,
    /// The release's id, which begins with the creation time, by the clock of the runner that made the release.
    pub id: String,
    /// The host's serial when the release was made. A later release has a higher one, regardless of the runners'
    /// clocks.
    #[serde(default)]
    pub order: u64,
    /// Digest of all inputs of the release. Equal inputs have equal digests.
    pub digest: String,
    /// The host directory that contains the release's files.
    pub directory: String,
    /// The Compose project.
    pub project: String,
    /// The Compose files, relative to the directory.
    pub compose_files: Vec<String>,
    /// The files that the release owns.
    pub files: BTreeMap<Utf8PathBuf, FileRecord>,
    /// The directories that the release's services write to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub directories: Directories,
    /// The release's services; empty until the release was validated.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceRecord>,
    /// The networks and volumes that Compose makes for the release. Former versions did not record them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Objects>,
    /// Image → its digest at its registry, for the images that follow their tag. Empty until the switch to the release.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pulled: BTreeMap<String, String>,
}

/// Returns one digest of a release's inputs and of the registries' digests for its images' tags.
#[must_use]
pub fn identity(digest: &str, pulled: &BTreeMap<String, String>) -> String {
    if pulled.is_empty() {
        return digest.to_owned();
    }
    let images = pulled.iter().fold(digest.to_owned(), |text, (image, found)| text + "\0" + image + "\0" + found);
    blake3::hash(images.as_bytes()).to_hex()[..16].to_owned()
}

/// Limit of the number of services of a release.
pub const SERVICES: usize = 10_000;
/// Limit of the number of entries of each list of a record, and of all ports of a release.
const ENTRIES: usize = 200_000;

impl ReleaseRecord {
    /// Reads a record from a host. Returns `None` if it is not JSON of this form, or contains an invalid name, id or
    /// path.
    #[must_use]
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(json).ok().filter(|record| record.version > FORMAT || record.is_sound())
    }

    /// Returns true if every value in the record has the form that we write.
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
            && self.objects.as_ref().is_none_or(Objects::is_sound)
            && self.services.len() <= SERVICES
            && self.services.values().map(|service| service.ports.len()).sum::<usize>() <= ENTRIES
            && files
            && services
            && pulled
    }

    /// Returns the identity of the release: a digest of its inputs and of the images to which its tags resolved.
    #[must_use]
    pub fn identity(&self) -> String {
        identity(&self.digest, &self.pulled)
    }

    /// Returns true if a service mounts this path below the directory, so that its containers may write to it.
    #[must_use]
    pub fn mounts(&self, path: &Utf8Path) -> bool {
        self.services.values().flat_map(|service| &service.mounts).any(|mount| path.starts_with(mount))
    }

    /// Returns the sort key of the release among the releases of a host.
    #[must_use]
    pub fn age(&self) -> (u64, &str) {
        (self.order, &self.id)
    }

    /// Returns true if the release converged once, so that the host has everything needed to run it again.
    #[must_use]
    pub fn restorable(&self) -> bool {
        self.services.values().any(|service| service.end.is_some())
    }
}

/// One file of a release on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Mode and digest, in the form of the facts.
    pub value: String,
    /// The release that last wrote the file. A service that reads the file is recreated when this changes, even if the
    /// content only returned to a previous state.
    pub placed: String,
    /// The file's length. The probe searches for these fields in this order. Former versions did not record it.
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
    /// The image as the Compose file names it.
    pub image: String,
    /// Shipped files that the service mounts or reads, relative to the directory.
    pub reads: Vec<Utf8PathBuf>,
    /// Keyed digest of the data that Compose itself writes into the service's containers: configs and secrets whose
    /// content is in the Compose file or in a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// Mounts from below the application's directory, including volumes, configs and secrets that lead there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Utf8PathBuf>,
    /// Mounts from anywhere else on the host, as absolute paths: true if the service may write there. The root
    /// directory is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outside: BTreeMap<Utf8PathBuf, bool>,
    /// Names of the service's networks at the engine, without external ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Id of the release that last replaced a network of the service: part of the definition of its containers, so
    /// that Compose connects them with the new network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<String>,
    /// Host ports that the service publishes.
    pub ports: Vec<PublishedPort>,
    /// Number of containers.
    pub replicas: u32,
    /// True if the service only runs before the switch to its release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
    /// State of the service when the release converged: `healthy`, `running` or `completed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Compose's own digest of the containers' definition, read from the containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Id of the image on the host, read from the containers: the image to which the name resolved when the release
    /// converged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// True if the service is started by this id, because the image's name refers to another image on the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_id: bool,
    /// Keyed digest of the inputs of the image's build, if the image is built on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

impl ServiceRecord {
    fn is_sound(&self) -> bool {
        let hex = |text: &Option<String>| text.as_deref().is_none_or(checked::is_hex);
        (self.image.is_empty() || checked::is_image(&self.image))
            && self.reads.iter().all(|path| checked::is_relative(path))
            // An empty path means the directory itself.
            && self.mounts.iter().all(|path| path.as_str().is_empty() || checked::is_relative(path))
            && self.outside.keys().all(|path| checked::is_absolute(path.as_str()))
            && self.networks.iter().all(|name| is_name(name))
            && self.renewed.as_deref().is_none_or(|id| ReleaseId::parse(id).is_some())
            && self.ports.iter().all(PublishedPort::is_sound)
            && self.end.as_deref().is_none_or(|end| end == checked::said(end))
            && self.image_id.as_deref().is_none_or(|id| ImageId::parse(id).is_some())
            && [&self.inline, &self.hash, &self.build].into_iter().all(hex)
    }
}

/// Returns true if an image's name and digest have the form of a pulled image.
fn is_pulled(image: &str, digest: &str) -> bool {
    checked::is_image(image) && ImageId::parse(digest).is_some()
}

/// Rejected inputs, which are not tried again until they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Digest of the inputs, as in [`ReleaseRecord::digest`].
    pub digest: String,
    /// Digests to which the tags of the images resolved, as in [`ReleaseRecord::pulled`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pulled: BTreeMap<String, String>,
    /// The release that was made from the inputs.
    pub release: String,
    /// The origin of the rejection.
    pub by: Rejection,
    /// The reason, for people.
    pub message: String,
    /// The time of the rejection.
    pub at: jiff::Timestamp,
}

impl Rejected {
    /// Reads the list of rejections that a host keeps. Ignores entries that do not have the form that we write.
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

    /// Returns true if the rejection is of this release.
    #[must_use]
    pub fn is_of(&self, release: &ReleaseRecord) -> bool {
        self.digest == release.digest && self.pulled == release.pulled
    }
}

/// Origin of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rejection {
    /// The release did not become healthy.
    Health,
    /// Somebody rolled the release back by name.
    Hand,
}

/// A port that Compose publishes on the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The host address that the port binds; empty for all addresses.
    pub address: String,
    /// The port on the host.
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

/// Key for the digests of secrets, so that the store alone reveals nothing. The key is made on the host and held only
/// in memory.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// Returns a key from its 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text.trim()).ok().map(|hash| Self(*hash.as_bytes()))
    }

    /// Returns the digest of secret content, given the content's SHA-256: keyed BLAKE3, first 16 bytes in hexadecimal.
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
