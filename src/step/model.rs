//! Compose's resolved model of a release (`docker compose config --format json`), cut down to what the
//! rooms need. Never keeps environment values: they may be secret.

use super::record::{PublishedPort, ServiceRecord};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The services of a release, with absolute paths still in their reads.
#[derive(Clone, Debug, Default)]
pub struct Model {
    services: BTreeMap<String, Service>,
    configs: BTreeMap<String, Source>,
    secrets: BTreeMap<String, Source>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    services: BTreeMap<String, Service>,
    configs: BTreeMap<String, Source>,
    secrets: BTreeMap<String, Source>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    image: String,
    volumes: Vec<Mount>,
    configs: Vec<Reference>,
    secrets: Vec<Reference>,
    ports: Vec<Port>,
    scale: Option<u32>,
    deploy: Option<Deploy>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Mount {
    r#type: String,
    source: Utf8PathBuf,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    source: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Source {
    file: Option<Utf8PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Deploy {
    replicas: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    host_ip: String,
    published: Published,
    protocol: String,
}

/// Compose writes it as a string, some versions as a number.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
enum Published {
    Text(String),
    Number(u16),
    #[default]
    None,
}

impl Model {
    /// Reads Compose's JSON.
    pub fn parse(json: &str) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(json).map_err(|error| format!("model.json: {error}"))?;
        Ok(Self { services: raw.services, configs: raw.configs, secrets: raw.secrets })
    }

    /// The services as records. A file that one reads below any of `roots` is a path of the release.
    #[must_use]
    pub fn records<'a>(
        &self,
        roots: &[&Utf8Path],
        files: &(impl Iterator<Item = &'a Utf8PathBuf> + Clone),
    ) -> BTreeMap<String, ServiceRecord> {
        let shipped = |path: &Utf8PathBuf| {
            let below = roots.iter().find_map(|root| path.strip_prefix(root).ok()).map(Utf8Path::to_owned);
            let files = files.clone();
            below.into_iter().flat_map(move |below| files.clone().filter(move |file| file.starts_with(&below)).cloned())
        };
        let record = |service: &Service| {
            let mounts = service.volumes.iter().filter(|mount| mount.r#type == "bind").map(|mount| &mount.source);
            let configs =
                service.configs.iter().filter_map(|reference| self.configs.get(&reference.source)?.file.as_ref());
            let secrets =
                service.secrets.iter().filter_map(|reference| self.secrets.get(&reference.source)?.file.as_ref());
            let mut reads: Vec<Utf8PathBuf> = mounts.chain(configs).chain(secrets).flat_map(shipped).collect();
            reads.sort();
            reads.dedup();
            let deploy = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
            ServiceRecord {
                image: service.image.clone(),
                reads,
                ports: service.ports.iter().flat_map(ports).collect(),
                replicas: service.scale.or(deploy).unwrap_or(1),
                end: None,
                hash: None,
            }
        };
        self.services.iter().map(|(name, service)| (name.clone(), record(service))).collect()
    }
}

/// Every host port of one entry; a range is all its ports, an absent one is Docker's to choose.
fn ports(port: &Port) -> Vec<PublishedPort> {
    let range = match &port.published {
        Published::Text(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            first.parse::<u16>().ok().zip(last.parse::<u16>().ok()).map(|(first, last)| first..=last)
        }
        Published::Number(number) => Some(*number..=*number),
        Published::None => None,
    };
    let one = |number| PublishedPort {
        address: port.host_ip.clone(),
        port: number,
        protocol: if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.clone() },
    };
    range.into_iter().flatten().filter(|number| *number != 0).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_reads_what_it_mounts_below_the_directory() {
        let model = Model::parse(
            r#"{"services":{"web":{"image":"demo:1","volumes":[{"type":"bind","source":"/s/html","target":"/www"},
            {"type":"volume","source":"data","target":"/data"},{"type":"bind","source":"/etc/passwd","target":"/p"}],
            "configs":[{"source":"c"}],"ports":[{"published":"8080-8081","target":80}]}},"configs":{"c":{"file":"/s/c.conf"}}}"#,
        )
        .expect("valid");
        let files = ["html/a", "html/b", "c.conf", "htmlx", "compose.yaml"].map(Utf8PathBuf::from);
        let records = model.records(&[Utf8Path::new("/s")], &files.iter());
        assert_eq!(records["web"].reads, ["c.conf", "html/a", "html/b"].map(Utf8PathBuf::from));
        assert_eq!(records["web"].ports.iter().map(|p| p.port).collect::<Vec<_>>(), [8080, 8081]);
    }
}
