//! Reads the content of a `docker save` archive from its headers and its small JSON files. Reads no layer and keeps no
//! state between calls.

mod entries;

use super::hash;
use super::image_name::familiar;
use super::sent::Archive;
use crate::manifest::below;
use crate::model::failure::{Failure, Reason};
use camino::Utf8Path;
use data_encoding::HEXLOWER;
use entries::{Entries, Trouble, plain, unpacked};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Seek as _};

/// The most image descriptors that are followed.
const DESCRIPTORS: usize = 10_000;

/// The most images that a message lists when the wanted image is missing.
const NAMED: usize = 10;

/// Reads the archive at `path` and finds `image` in it. `given` are the names of all images that the manifest takes
/// from this archive.
///
/// # Errors
/// The archive cannot be read, is not an image archive, is truncated, does not hold that image, or gives images other
/// names than `given`: the engine would take these names from the images that have them on the host.
pub fn read(image: &str, path: &Utf8Path, given: &BTreeSet<String>) -> Result<Archive, Failure> {
    let unreadable = |error: io::Error| failure(format!("{path} cannot be read")).details(error.to_string());
    let mut file = below::regular(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    let mut magic = [0; 2];
    let packed = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.rewind().map_err(unreadable)?;
    let entries = if packed { unpacked(file) } else { plain(file, bytes) };
    let entries = entries.map_err(|trouble| match trouble {
        Trouble::NotTar(error) => failure(format!("{path} is not a tar archive")).details(error.to_string()),
        Trouble::Beyond(why) => failure(format!("{path} is not an image archive of Docker: {why}"))
            .hint("Make it again with: docker save IMAGE -o FILE"),
        Trouble::CutOff(error) => failure(format!("{path} is cut off or damaged"))
            .details(error.to_string())
            .hint("Make it again with: docker save IMAGE -o FILE"),
    })?;
    let images = Images::of(path, &entries)?;
    let (ids, architecture) = images.find(image)?;
    images.only(given)?;
    Ok(Archive { image: familiar(image), path: path.to_owned(), bytes, ids, architecture })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
}

/// An OCI index, or an OCI manifest: one has `manifests`, the other `config`.
#[derive(Deserialize)]
struct Oci {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// Returns the name that the containerd image store gives the image. Without its own annotation, it takes
    /// the reference of the OCI layout, which is often a tag alone.
    fn name(&self) -> Option<&String> {
        let annotations = self.annotations.as_ref()?;
        let whole = |name: &&String| name.contains([':', '/']);
        annotations
            .get("io.containerd.image.name")
            .or_else(|| annotations.get("org.opencontainers.image.ref.name").filter(whole))
    }
}

/// The images of an archive.
struct Images<'a> {
    path: &'a Utf8Path,
    entries: &'a Entries,
    listed: Vec<Image>,
    index: Option<Oci>,
}

fn tags(image: &Image) -> impl Iterator<Item = &String> {
    image.repo_tags.iter().flatten()
}

impl<'a> Images<'a> {
    fn of(path: &'a Utf8Path, entries: &'a Entries) -> Result<Self, Failure> {
        let Some(manifest) = entries.get("manifest.json") else {
            return Err(failure(format!("{path} is not an image archive: it contains no manifest.json")));
        };
        let listed = json(path, "manifest.json", manifest)?;
        let index = entries.get("index.json").map(|index| json(path, "index.json", index)).transpose()?;
        Ok(Self { path, entries, listed, index })
    }

    /// Refuses names that the manifest does not give images of this archive.
    fn only(&self, given: &BTreeSet<String>) -> Result<(), Failure> {
        let given: BTreeSet<String> = given.iter().map(|name| familiar(name)).collect();
        let indexed = self.index.iter().flat_map(|index| &index.manifests).filter_map(Descriptor::name);
        let names = self.listed.iter().flat_map(tags).chain(indexed).map(|name| familiar(name));
        let others: BTreeSet<String> = names.filter(|name| !given.contains(name)).take(NAMED).collect();
        let Some(other) = others.first() else { return Ok(()) };
        let list = others.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let message =
            format!("{path} contains images under names that `archives` does not give it: {list}", path = self.path);
        let hint = format!(
            "List {other} under `archives` too, or save the archive again with only the images that are listed"
        );
        Err(failure(message).hint(hint))
    }

    /// Returns the ids and the architecture of `image`.
    fn find(&self, image: &str) -> Result<(Vec<String>, String), Failure> {
        let Self { path, entries, listed, index } = self;
        let wanted = familiar(image);
        let Some(found) = listed.iter().find(|image| tags(image).any(|tag| familiar(tag) == wanted)) else {
            let held: Vec<String> = listed.iter().flat_map(tags).take(NAMED).map(|tag| familiar(tag)).collect();
            let held = if held.is_empty() { "images without a name".to_owned() } else { held.join(", ") };
            return Err(failure(format!("{path} does not contain the image {wanted}, but {held}"))
                .hint("Use the name the archive has, or save it again under the name the Compose file uses"));
        };
        let damaged = |what: &str| failure(format!("{path} is damaged: {what}"));
        if let Some(layer) = found.layers.iter().find(|layer| !entries.contains_key(*layer)) {
            return Err(damaged(&format!("{layer} is missing")));
        }
        let text = entries.get(&found.config).ok_or_else(|| damaged(&format!("{} is missing", found.config)))?;
        let config: Config = json(path, &found.config, text)?;
        let id = digest(text);
        let named = found.config.trim_end_matches(".json").rsplit('/').next().unwrap_or_default();
        if named.len() == 64 && id != format!("sha256:{named}") {
            return Err(damaged(&format!("the content of {} does not match its name", found.config)));
        }
        if config.architecture.is_empty() {
            return Err(damaged(&format!("{} names no architecture", found.config)));
        }
        let mut ids = vec![id.clone()];
        if let Some(index) = index {
            let mut way = Way { id, entries, known: BTreeMap::new(), left: DESCRIPTORS, ids };
            let whole = index.manifests.iter().try_for_each(|next| way.leads(&next.digest, DEPTH).map(|_| ()));
            whole.ok_or_else(|| damaged(&format!("it names more than {DESCRIPTORS} manifests")))?;
            ids = way.ids;
        }
        Ok((ids, config.architecture))
    }
}

/// The deepest nesting of indexes that is followed.
const DEPTH: u8 = 8;

/// The search for the manifest of a configuration, from an index downwards.
struct Way<'a> {
    id: String,
    entries: &'a Entries,
    /// Every digest visited so far, with true if it leads to that manifest.
    known: BTreeMap<String, bool>,
    left: usize,
    /// The digests that lead to the manifest.
    ids: Vec<String>,
}

impl Way<'_> {
    /// Returns true if a digest leads to the manifest, and records the digests in between. Returns `None` if there are
    /// too many descriptors.
    fn leads(&mut self, from: &str, depth: u8) -> Option<bool> {
        self.left = self.left.checked_sub(1)?;
        if let Some(known) = self.known.get(from) {
            return Some(*known);
        }
        // A cycle leads nowhere.
        self.known.insert(from.to_owned(), false);
        let name = format!("blobs/{}", from.replacen(':', "/", 1));
        let oci = self.entries.get(&name).map(|text| serde_json::from_slice::<Oci>(text));
        let Some(Ok(oci)) = oci else { return Some(false) };
        let at = self.ids.len();
        let mut leads = oci.config.is_some_and(|config| config.digest == self.id);
        if !leads && depth > 0 {
            for next in &oci.manifests {
                leads |= self.leads(&next.digest, depth - 1)?;
            }
        }
        if leads {
            self.known.insert(from.to_owned(), true);
            self.ids.insert(at, from.to_owned());
        }
        Some(leads)
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&hash::digest(bytes)))
}

fn json<T: DeserializeOwned>(path: &Utf8Path, entry: &str, text: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        failure(format!("{path} is not an image archive: {entry} is unusual")).details(error.to_string())
    })
}

fn failure(message: String) -> Failure {
    Failure::new(Reason::ArchiveInvalid, message)
}
