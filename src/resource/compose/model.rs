//! Compose's resolved model of a release (`docker compose config --format json`), reduced to the data that the
//! resources need. Environment values are not kept, because they may be secret.

use super::json::{Build, Mount, Raw, Reference, Service, Source};
use super::ports::{ports, range};
use crate::model::checked;
use crate::resource::contract::object_settings::{Object, ObjectKind, Objects, is_name};
use crate::resource::contract::record::{SERVICES, ServiceRecord};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};

/// Limit of a port's address and protocol together, in bytes.
const ADDRESS: usize = 128;

/// Limit of a model in bytes.
const LARGEST: usize = 4 << 20;
/// Limit of the number of host ports of all services.
const PORTS: usize = 200_000;
/// Limit of the number of files that all services read. Files beyond the limit are not watched for changes.
const READS: usize = 1_000_000;

/// Services of a release. The paths of the files that they read are still absolute.
#[derive(Clone, Debug, Default)]
pub struct Model {
    services: BTreeMap<String, Service>,
    configs: BTreeMap<String, Source>,
    secrets: BTreeMap<String, Source>,
    volumes: BTreeMap<String, Option<Object>>,
    networks: BTreeMap<String, Option<Object>>,
}

/// Files of a release that a service gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentTo {
    /// Bind mounts that contain such files.
    pub mounts: Vec<SentMount>,
    /// Name → path of each config that is such a file.
    pub configs: BTreeMap<String, Utf8PathBuf>,
    /// Name → path of each secret that is such a file.
    pub secrets: BTreeMap<String, Utf8PathBuf>,
}

/// Mount of a directory or file below the application's directory that has files of the release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMount {
    /// Path below the application's directory.
    pub path: Utf8PathBuf,
    /// Path in the container.
    pub target: Utf8PathBuf,
    /// True if the container mounts it read-only.
    pub read_only: bool,
}

impl Model {
    /// Reads Compose's JSON.
    pub fn parse(json: &str) -> Result<Self, String> {
        if json.len() > LARGEST {
            return Err(format!("model.json is larger than {} MiB", LARGEST >> 20));
        }
        let raw: Raw = serde_json::from_str(json).map_err(|error| format!("model.json: {error}"))?;
        let mut ports = raw.services.values().flat_map(|service| &service.ports);
        let addressed = ports.all(|port| port.host_ip.len() + port.protocol.len() <= ADDRESS);
        let published: usize =
            raw.services.values().flat_map(|service| &service.ports).map(|port| range(port).len()).sum();
        if raw.services.len() > SERVICES
            || published > PORTS
            || !addressed
            || !raw.services.keys().all(|name| checked::is_service(name))
        {
            return Err("model.json does not have the form that Compose writes".to_owned());
        }
        let Raw { services, configs, secrets, volumes, networks } = raw;
        let of_model = |all: BTreeMap<String, Option<Object>>| {
            all.into_iter().map(|(key, object)| (key, object.map(Object::of_model))).collect()
        };
        Ok(Self { services, configs, secrets, volumes: of_model(volumes), networks: of_model(networks) })
    }

    /// Returns the services as records. A file that a service reads below `directory` is a path of the release.
    /// `variable` returns the digest of a variable's value, and `keyed` makes one digest of several.
    #[must_use]
    pub fn records<'a>(
        &self,
        directory: &Utf8Path,
        files: &(impl Iterator<Item = &'a Utf8PathBuf> + Clone),
        variable: &dyn Fn(&str) -> Option<[u8; 32]>,
        keyed: &dyn Fn([u8; 32]) -> String,
    ) -> BTreeMap<String, ServiceRecord> {
        let below = |path: &Utf8PathBuf| path.strip_prefix(directory).ok().map(Utf8Path::to_owned);
        let (files, mut room): (BTreeSet<&Utf8PathBuf>, usize) = (files.clone().collect(), READS);
        let mut record = |service: &Service| {
            let sources: Vec<&Source> = self.sources(service).collect();
            let profiles = service.security_opt.iter().filter_map(|option| profile(option, directory));
            let places: Vec<(Utf8PathBuf, bool)> = self.places(service).collect();
            let read = places.iter().map(|(path, _)| path.clone()).chain(profiles);
            let read: BTreeSet<Utf8PathBuf> = read.filter_map(|path| below(&path)).collect();
            let (mut mounts, mut outside) = (BTreeSet::new(), BTreeMap::new());
            for (path, writes) in places {
                let plain = checked::plain_path(&path);
                if let Some(own) = below(&path) {
                    mounts.insert(own);
                } else if checked::is_absolute(plain.as_str()) {
                    *outside.entry(plain).or_default() |= writes;
                }
            }
            // The set is sorted, so the files below a path directly follow the path.
            let below = |path| files.range::<Utf8PathBuf, _>(path..).take_while(move |file| file.starts_with(path));
            let reads: BTreeSet<&Utf8PathBuf> = read.iter().flat_map(below).take(room).copied().collect();
            room -= reads.len();
            let value = |source: &&Source| source.content.or_else(|| variable(source.environment.as_deref()?));
            let inline: Vec<[u8; 32]> = sources.iter().filter_map(value).collect();
            let deploy = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
            ServiceRecord {
                image: service.image.clone(),
                reads: reads.into_iter().cloned().collect(),
                inline: (!inline.is_empty()).then(|| keyed(*blake3::hash(&inline.concat()).as_bytes())),
                mounts: mounts.into_iter().collect(),
                outside,
                networks: self.networks_of(service).map(|network| network.name.clone()).collect(),
                renewed: None,
                ports: service.ports.iter().flat_map(ports).collect(),
                // A provider's service has no container.
                replicas: if service.provider.is_some() { 0 } else { service.scale.or(deploy).unwrap_or(1) },
                before: false,
                end: None,
                hash: None,
                image_id: None,
                by_id: false,
                build: None,
            }
        };
        self.services.iter().map(|(name, service)| (name.clone(), record(service))).collect()
    }

    /// Returns the networks and volumes that Compose makes for the services. `keyed` makes one digest of a value.
    #[must_use]
    pub fn objects(&self, keyed: &dyn Fn([u8; 32]) -> String) -> Objects {
        let settings = |kind: ObjectKind| move |object: &Object| (object.name.clone(), object.settings(kind, keyed));
        let networks = self.services.values().flat_map(|service| self.networks_of(service));
        let volumes = self.services.values().flat_map(|service| self.volumes_of(service));
        Objects {
            networks: networks.map(settings(ObjectKind::Network)).collect(),
            volumes: volumes.map(settings(ObjectKind::Volume)).collect(),
        }
    }

    /// Returns the networks of a service that Compose makes.
    fn networks_of(&self, service: &Service) -> impl Iterator<Item = &Object> {
        made(service.networks.keys(), &self.networks)
    }

    /// Returns the named volumes of a service that Compose makes.
    fn volumes_of(&self, service: &Service) -> impl Iterator<Item = &Object> {
        let mounts = service.volumes.iter().filter(|mount| mount.r#type == "volume");
        made(mounts.map(|mount| mount.source.as_str()), &self.volumes)
    }

    /// Returns the services whose containers have a fixed name, with that name.
    pub fn container_names(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = self.services.iter().filter(|(_, service)| is_name(&service.container_name));
        named.map(|(name, service)| (name.as_str(), service.container_name.as_str()))
    }

    /// Returns the subnets that the release's own networks ask for, each with the network's name.
    pub fn subnets(&self) -> impl Iterator<Item = (&str, ipnet::IpNet)> {
        let own = self.services.values().flat_map(|service| self.networks_of(service));
        own.flat_map(|network| network.subnets().into_iter().map(|subnet| (network.name.as_str(), subnet)))
    }

    /// Returns the host paths that a service mounts, each with true if the service may write to the path.
    fn places(&self, service: &Service) -> impl Iterator<Item = (Utf8PathBuf, bool)> {
        let places = |mount: &Mount| match (mount.r#type.as_str(), self.volumes.get(mount.source.as_str())) {
            ("bind", _) => vec![mount.source.clone()],
            (_, Some(Some(volume))) => volume.places(),
            _ => Vec::new(),
        };
        let all = |mount: &Mount| places(mount).into_iter().map(|path| (path, !mount.read_only)).collect::<Vec<_>>();
        let volumes = service.volumes.iter().flat_map(all).collect::<Vec<_>>().into_iter();
        volumes.chain(self.sources(service).filter_map(|source| Some((source.file.clone()?, false))))
    }

    /// Returns the first service that mounts a path with control characters, and the path. The host's lists of paths
    /// cannot contain such a path.
    #[must_use]
    pub fn unlisted(&self) -> Option<(&str, Utf8PathBuf)> {
        self.services.iter().find_map(|(name, service)| {
            let (path, _) = self.places(service).find(|(path, _)| path.as_str().chars().any(char::is_control))?;
            Some((name.as_str(), path))
        })
    }

    /// Returns what a service gets of the `sent` files from below `directory`. All that it mounts besides is data that
    /// only the live directory has.
    #[must_use]
    pub fn sent_to(&self, service: &str, directory: &Utf8Path, sent: &[&Utf8PathBuf]) -> SentTo {
        let above: BTreeSet<&Utf8Path> = sent.iter().flat_map(|file| file.ancestors()).collect();
        let ours = |path: &Utf8Path| {
            let path = path.strip_prefix(directory).ok()?;
            above.contains(path).then(|| path.to_owned())
        };
        let Some(service) = self.services.get(service) else { return SentTo::default() };
        let mount = |mount: &Mount| {
            let path = ours(&mount.source).filter(|_| mount.r#type == "bind")?;
            Some(SentMount { path, target: mount.target.clone(), read_only: mount.read_only })
        };
        let given = |references: &[Reference], all: &BTreeMap<String, Source>| {
            let file = |reference: &Reference| {
                let path = ours(all.get(&reference.source)?.file.as_ref()?)?;
                Some((reference.source.clone(), path))
            };
            references.iter().filter_map(file).collect()
        };
        SentTo {
            mounts: service.volumes.iter().filter_map(mount).collect(),
            configs: given(&service.configs, &self.configs),
            secrets: given(&service.secrets, &self.secrets),
        }
    }

    /// Returns the services that have a `build` section.
    pub fn builds(&self) -> impl Iterator<Item = (&String, &Build)> {
        self.services.iter().filter_map(|(name, service)| Some((name, service.build.as_ref()?)))
    }

    /// Returns the configs and secrets of a service.
    fn sources(&self, service: &Service) -> impl Iterator<Item = &Source> {
        let configs = service.configs.iter().filter_map(|reference| self.configs.get(&reference.source));
        configs.chain(service.secrets.iter().filter_map(|reference| self.secrets.get(&reference.source)))
    }
}

/// Returns the file of a seccomp profile, if the security option names one. Docker takes a relative path from the
/// project's directory.
fn profile(option: &str, directory: &Utf8Path) -> Option<Utf8PathBuf> {
    let path = option.strip_prefix("seccomp").and_then(|rest| rest.strip_prefix([':', '=']))?;
    (path != "unconfined" && !path.starts_with('{')).then(|| checked::plain_path(&directory.join(path)))
}

/// Returns the objects with these keys, without external ones.
fn made(
    keys: impl Iterator<Item = impl AsRef<str>>,
    all: &BTreeMap<String, Option<Object>>,
) -> impl Iterator<Item = &Object> {
    let found = keys.filter_map(|key| all.get(key.as_ref())?.as_ref());
    found.filter(|object| !object.is_external() && is_name(&object.name))
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
        let many = "{\"published\":\"1-65535\",\"target\":80},".repeat(5);
        let wide = format!(r#"{{"services":{{"web":{{"ports":[{}]}}}}}}"#, many.trim_end_matches(','));
        assert!(Model::parse(&wide).is_err(), "a range means many ports");
        let files = ["html/a", "html/b", "c.conf", "htmlx", "compose.yaml"].map(Utf8PathBuf::from);
        let records = model.records(Utf8Path::new("/s"), &files.iter(), &|_| None, &|_| String::new());
        assert_eq!(records["web"].reads, ["c.conf", "html/a", "html/b"].map(Utf8PathBuf::from));
        assert_eq!(records["web"].ports.iter().map(|p| p.port).collect::<Vec<_>>(), [8080, 8081]);
    }

    #[test]
    fn sent_files_are_told_from_the_data_of_the_live_directory() {
        let model = Model::parse(
            r#"{"services":{"web":{"volumes":[{"type":"bind","source":"/s/html","target":"/www","read_only":true},
            {"type":"bind","source":"/s/data","target":"/data"},{"type":"bind","source":"/","target":"/up"},
            {"type":"volume","source":"html","target":"/v"}],
            "configs":[{"source":"c"},{"source":"own"}],"secrets":[{"source":"t"}]}},
            "configs":{"c":{"file":"/s/c.conf"},"own":{"file":"/etc/own"},"other":{"file":"/s/c.conf"}},"secrets":{"t":{"file":"/s/t"}}}"#,
        )
        .expect("valid");
        let files = ["html/a", "c.conf", "t"].map(Utf8PathBuf::from);
        let sent = model.sent_to("web", Utf8Path::new("/s"), &files.iter().collect::<Vec<_>>());
        let html = SentMount { path: "html".into(), target: "/www".into(), read_only: true };
        assert_eq!(sent.mounts, [html]);
        assert_eq!(sent.configs, [("c".to_owned(), "c.conf".into())].into());
        assert_eq!(sent.secrets, [("t".to_owned(), "t".into())].into());
    }

    #[test]
    fn a_mount_is_every_path_of_its_volume_and_has_no_control_characters() {
        let parse = |source: &str, o: &str| {
            let text = r#"{"services":{"web":{"image":"demo:1","volumes":[{"type":"bind","source":"SOURCE","target":"/a"},
                {"type":"volume","source":"over","target":"/b"}]}},"volumes":{"over":{"driver_opts":{"device":"overlay","o":"OPTIONS"}}}}"#;
            Model::parse(&text.replace("SOURCE", source).replace("OPTIONS", o)).expect("valid")
        };
        let model = parse("/srv/a b", "lowerdir=/srv/l:srv/../srv//m,upperdir=/srv/u,index=on");
        assert_eq!(model.unlisted(), None);
        let records = model.records(Utf8Path::new("/app"), &[].iter(), &|_| None, &|_| String::new());
        let outside: Vec<&str> = records["web"].outside.keys().map(|path| path.as_str()).collect();
        assert_eq!(outside, ["/srv/a b", "/srv/l", "/srv/m", "/srv/u"]);
        assert_eq!(parse(r"/srv/n\nl", "").unlisted(), Some(("web", "/srv/n\nl".into())));
        assert_eq!(parse("/srv/a", r"lowerdir=/srv/t\tb").unlisted(), Some(("web", "/srv/t\tb".into())));
    }
}
