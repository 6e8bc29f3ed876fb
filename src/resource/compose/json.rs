//! JSON of `docker compose config`, reduced to the values that the resources need.

use super::ports::Port;
use crate::model::checked;
use crate::release::builds::is_remote;
use crate::resource::contract::object_settings::Object;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    pub(super) services: BTreeMap<String, Service>,
    pub(super) configs: BTreeMap<String, Source>,
    pub(super) secrets: BTreeMap<String, Source>,
    pub(super) volumes: BTreeMap<String, Option<Object>>,
    pub(super) networks: BTreeMap<String, Option<Object>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub(super) image: String,
    pub(super) container_name: String,
    pub(super) security_opt: Vec<String>,
    pub(super) networks: BTreeMap<String, Option<serde_json::Value>>,
    pub(super) volumes: Vec<Mount>,
    pub(super) configs: Vec<Reference>,
    pub(super) secrets: Vec<Reference>,
    pub(super) ports: Vec<Port>,
    pub(super) scale: Option<u32>,
    pub(super) deploy: Option<Deploy>,
    pub(super) provider: Option<serde::de::IgnoredAny>,
    pub(super) build: Option<Build>,
}

/// `build` section of a service. The section's arguments may hold secrets, so the section is not printed.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Build(serde_json::Value);

impl Build {
    /// Returns the whole section as text. Equal sections have equal texts.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    /// Returns the directories and files of the host that the build reads, as the absolute paths that Compose resolved.
    #[must_use]
    pub fn places(&self) -> Vec<Utf8PathBuf> {
        let contexts = self.contexts().filter(|context| context.starts_with('/'));
        let mut places: Vec<Utf8PathBuf> = contexts.map(Utf8PathBuf::from).collect();
        let dockerfile = self.0["dockerfile"].as_str().map(plain);
        let own = places.first().filter(|_| self.context().is_some_and(|context| !is_remote(&context)));
        places.extend(own.zip(dockerfile).map(|(context, file)| context.join(file)));
        places
    }

    /// Returns the URLs that the build reads.
    #[must_use]
    pub fn remote(&self) -> Vec<String> {
        let image =
            |context: &String| ["docker-image://", "oci-layout://"].iter().any(|kind| context.starts_with(kind));
        self.contexts().filter(|context| is_remote(context) && !image(context)).collect()
    }

    /// Returns the build's context and its additional contexts.
    fn contexts(&self) -> impl Iterator<Item = String> {
        let more = self.0["additional_contexts"].as_object().into_iter().flat_map(serde_json::Map::values);
        self.context().into_iter().chain(more.filter_map(serde_json::Value::as_str).map(plain))
    }

    fn context(&self) -> Option<String> {
        self.0["context"].as_str().map(plain)
    }
}

impl std::fmt::Debug for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Build")
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Mount {
    pub(super) r#type: String,
    #[serde(deserialize_with = "path")]
    pub(super) source: Utf8PathBuf,
    #[serde(deserialize_with = "path")]
    pub(super) target: Utf8PathBuf,
    pub(super) read_only: bool,
}

impl Object {
    /// Returns the paths of the host that a volume consists of: the directory that it binds, and the paths that its
    /// options name, such as the directories of an overlay.
    pub(super) fn places(&self) -> Vec<Utf8PathBuf> {
        let options = self.option("o").unwrap_or_default();
        let named = options.split(',').flat_map(|word| {
            let key = word.split_once('=').map_or("", |(key, _)| key.trim_end_matches('+'));
            let relative = matches!(key, "lowerdir" | "upperdir" | "workdir" | "datadir");
            let value = word.get(key.len()..).filter(|_| relative).unwrap_or(word);
            value.split([':', '=']).filter(move |path| relative || path.starts_with('/'))
        });
        let bound = options.split(',').any(|word| matches!(word, "bind" | "rbind"));
        // A device such as `:/export` is on another machine.
        let device = self.option("device").filter(|device| bound || device.contains('/') && !device.starts_with(':'));
        // Docker counts relative paths from the root directory.
        let all = device.into_iter().chain(named).filter(|path| !path.trim_matches('+').is_empty());
        all.map(|path| checked::plain_path(Utf8Path::new(path))).collect()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) source: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Source {
    #[serde(deserialize_with = "file")]
    pub(super) file: Option<Utf8PathBuf>,
    #[serde(deserialize_with = "content")]
    pub(super) content: Option<[u8; 32]>,
    pub(super) environment: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Deploy {
    pub(super) replicas: Option<u32>,
}

/// Undoes Compose's doubling of every dollar sign in its output.
fn plain(text: &str) -> String {
    text.replace("$$", "$")
}

fn path<'de, D: Deserializer<'de>>(json: D) -> Result<Utf8PathBuf, D::Error> {
    String::deserialize(json).map(|text| plain(&text).into())
}

fn file<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Utf8PathBuf>, D::Error> {
    path(json).map(Some)
}

/// Reads the digest of a content. The content itself is not kept, because it may hold a secret.
fn content<'de, D: Deserializer<'de>>(json: D) -> Result<Option<[u8; 32]>, D::Error> {
    String::deserialize(json).map(|text| Some(*blake3::hash(text.as_bytes()).as_bytes()))
}
