//! What a `docker save` archive holds, told from its headers and its small JSON files. Never reads a
//! layer, and never keeps anything between two calls.

use super::image_name::familiar;
use super::release::Archive;
use super::tree;
use crate::failure::{Failure, Reason};
use camino::Utf8Path;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

/// The largest entry that is taken for JSON; a configuration of thousands of layers stays below.
const LARGEST: u64 = 8 << 20;

/// All that is taken for JSON together.
const TOTAL: u64 = 128 << 20;

/// Reads the archive at `path` and finds `image` in it.
///
/// # Errors
/// It cannot be read, is no image archive, is cut off, or does not hold that image.
pub fn read(image: &str, path: &Utf8Path) -> Result<Archive, Failure> {
    let unreadable = |error: io::Error| failure(format!("{path} cannot be read")).details(error.to_string());
    let mut file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    let mut magic = [0; 2];
    let packed = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.rewind().map_err(unreadable)?;
    let entries = if packed { unpacked(file) } else { plain(file, bytes) };
    let entries = entries.map_err(|trouble| match trouble {
        Trouble::NotTar(error) => failure(format!("{path} is not a tar archive")).details(error.to_string()),
        Trouble::CutOff(error) => failure(format!("{path} is cut off or damaged"))
            .details(error.to_string())
            .hint("Make it again with: docker save IMAGE -o FILE"),
    })?;
    let (ids, architecture) = find(image, path, &entries)?;
    Ok(Archive { image: familiar(image), path: path.to_owned(), bytes, ids, architecture })
}

/// Name of an entry → its JSON text, empty for any other entry.
type Entries = BTreeMap<String, Vec<u8>>;

enum Trouble {
    NotTar(io::Error),
    CutOff(io::Error),
}

fn plain(file: File, bytes: u64) -> Result<Entries, Trouble> {
    let mut archive = tar::Archive::new(file);
    let mut end = 0;
    let entries = archive.entries_with_seek().map_err(Trouble::NotTar)?;
    let found = collect(entries, &mut end)?;
    // Seeking over a layer does not notice that it is not all there.
    if end > bytes { Err(Trouble::CutOff(io::ErrorKind::UnexpectedEof.into())) } else { Ok(found) }
}

fn unpacked(file: File) -> Result<Entries, Trouble> {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)));
    let found = collect(archive.entries().map_err(Trouble::NotTar)?, &mut 0)?;
    // The checksum stands at the end of the stream.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(Trouble::CutOff)?;
    Ok(found)
}

/// Every entry that may be JSON, and in `end` where the last entry ends.
fn collect<R: Read>(entries: tar::Entries<'_, R>, end: &mut u64) -> Result<Entries, Trouble> {
    let mut found = Entries::new();
    let mut total = 0;
    for entry in entries {
        let none = *end == 0;
        let trouble = |error| if none { Trouble::NotTar(error) } else { Trouble::CutOff(error) };
        let mut entry = entry.map_err(trouble)?;
        let size = entry.size();
        *end = entry.raw_file_position() + size;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        let mut text = Vec::new();
        if (1..=LARGEST.min(TOTAL - total)).contains(&size) && entry.header().entry_type().is_file() {
            let mut first = [0];
            entry.read_exact(&mut first).map_err(Trouble::CutOff)?;
            if matches!(first[0], b'{' | b'[') {
                text.push(first[0]);
                entry.read_to_end(&mut text).map_err(Trouble::CutOff)?;
                total += size;
            }
        }
        found.insert(name, text);
    }
    Ok(found)
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
}

/// The ids and the architecture of `image`.
fn find(image: &str, path: &Utf8Path, entries: &Entries) -> Result<(Vec<String>, String), Failure> {
    let Some(manifest) = entries.get("manifest.json") else {
        return Err(failure(format!("{path} is not an image archive: it holds no manifest.json")));
    };
    let images: Vec<Image> = json(path, "manifest.json", manifest)?;
    let tags = |image: &Image| image.repo_tags.clone().unwrap_or_default();
    let wanted = familiar(image);
    let Some(found) = images.iter().find(|image| tags(image).iter().any(|tag| familiar(tag) == wanted)) else {
        let held: Vec<String> = images.iter().flat_map(tags).map(|tag| familiar(&tag)).collect();
        let held = if held.is_empty() { "images without a name".to_owned() } else { held.join(", ") };
        return Err(failure(format!("{path} does not hold the image {wanted}, but {held}"))
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
        return Err(damaged(&format!("{} has another content than its name says", found.config)));
    }
    if config.architecture.is_empty() {
        return Err(damaged(&format!("{} names no architecture", found.config)));
    }
    let mut ids = vec![id.clone()];
    if let Some(index) = entries.get("index.json") {
        let index: Oci = json(path, "index.json", index)?;
        for descriptor in &index.manifests {
            for found in leading_to(&id, &descriptor.digest, entries, 4) {
                if !ids.contains(&found) {
                    ids.push(found);
                }
            }
        }
    }
    Ok((ids, config.architecture))
}

/// The digests on the way from `from` to the manifest of the configuration `id`; empty where there is none.
fn leading_to(id: &str, from: &str, entries: &Entries, depth: u8) -> Vec<String> {
    let name = format!("blobs/{}", from.replacen(':', "/", 1));
    let Some(Ok(oci)) = entries.get(&name).map(|text| serde_json::from_slice::<Oci>(text)) else { return Vec::new() };
    if oci.config.is_some_and(|config| config.digest == id) {
        return vec![from.to_owned()];
    }
    let below = oci.manifests.iter().filter(|_| depth > 0);
    let mut found: Vec<String> = below.flat_map(|next| leading_to(id, &next.digest, entries, depth - 1)).collect();
    if !found.is_empty() {
        found.insert(0, from.to_owned());
    }
    found
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&tree::digest(bytes)))
}

fn json<T: DeserializeOwned>(path: &Utf8Path, entry: &str, text: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        failure(format!("{path} is not an image archive: {entry} is unusual")).details(error.to_string())
    })
}

fn failure(message: String) -> Failure {
    Failure::new(Reason::ArchiveInvalid, message)
}
