//! Networks and volumes of a Compose project: as the model of a release defines them, and as the engine has them.
//! Compose itself ignores most changes of their definitions.

use crate::model::checked;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Settings of a network or volume: name → value. Options and labels may hold secrets, so their values are digests.
pub type Settings = BTreeMap<String, String>;

/// Networks and volumes of a release, by their names at the engine. External ones are not part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objects {
    /// Name → settings of each network.
    pub networks: BTreeMap<String, Settings>,
    /// Name → settings of each volume.
    pub volumes: BTreeMap<String, Settings>,
}

/// Limit of the number of networks, of volumes, and of the settings of each.
const MOST: usize = 10_000;

impl Objects {
    /// Returns the networks or the volumes.
    #[must_use]
    pub const fn of(&self, kind: ObjectKind) -> &BTreeMap<String, Settings> {
        match kind {
            ObjectKind::Network => &self.networks,
            ObjectKind::Volume => &self.volumes,
        }
    }

    /// Returns every network and volume with its kind, its name and its settings.
    pub fn each(&self) -> impl Iterator<Item = (ObjectKind, &String, &Settings)> {
        let of = |kind| self.of(kind).iter().map(move |(name, settings)| (kind, name, settings));
        of(ObjectKind::Network).chain(of(ObjectKind::Volume))
    }

    /// Returns true if every name and setting has the form that we write.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let said = |text: &String| text.len() <= 512 && *text == checked::said(text);
        let object = |(name, settings): (&String, &Settings)| {
            is_name(name) && settings.len() <= MOST && settings.iter().all(|(name, value)| said(name) && said(value))
        };
        self.networks.len().max(self.volumes.len()) <= MOST && self.networks.iter().chain(&self.volumes).all(object)
    }
}

/// Returns true if a text is a name that the engine gives to networks, volumes and containers.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.len() <= 255 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(allowed)
}

/// Network or volume, from Compose's model or from the engine. A volume has fewer settings.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Object {
    /// The name at the engine.
    #[serde(alias = "Name")]
    pub name: String,
    #[serde(alias = "Driver", deserialize_with = "or_default")]
    driver: String,
    #[serde(alias = "driver_opts", alias = "Options", deserialize_with = "or_default")]
    options: BTreeMap<String, serde_json::Value>,
    #[serde(alias = "Labels", deserialize_with = "or_default")]
    labels: BTreeMap<String, serde_json::Value>,
    #[serde(alias = "Internal")]
    internal: bool,
    #[serde(alias = "Attachable")]
    attachable: bool,
    #[serde(alias = "enable_ipv6", alias = "EnableIPv6")]
    ipv6: Option<bool>,
    #[serde(alias = "IPAM", deserialize_with = "or_default")]
    ipam: Ipam,
    external: serde_json::Value,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Ipam {
    #[serde(alias = "Config", deserialize_with = "or_default")]
    config: Vec<Pool>,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Pool {
    #[serde(alias = "Subnet")]
    subnet: String,
    #[serde(alias = "IPRange")]
    ip_range: String,
    #[serde(alias = "Gateway")]
    gateway: String,
}

/// Options and labels may hold secrets.
impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({})", self.name)
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(json: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(json).map(Option::unwrap_or_default)
}

/// Kind of an object. The two kinds have different settings and default drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// Names of settings.
const DRIVER: &str = "driver";
const SUBNET: &str = "subnet ";
const OPTION: &str = "option ";
const LABEL: &str = "label ";
/// Label with which Compose marks the networks and volumes of a project.
const PROJECT: &str = "com.docker.compose.project";

impl Object {
    /// Returns an object of Compose's model. Compose doubles every dollar sign in its output.
    #[must_use]
    pub fn of_model(mut self) -> Self {
        for value in self.options.values_mut().chain(self.labels.values_mut()) {
            if let serde_json::Value::String(text) = value {
                *text = text.replace("$$", "$");
            }
        }
        self
    }

    /// Returns true if Compose uses the object without making it.
    #[must_use]
    pub fn is_external(&self) -> bool {
        !matches!(self.external, serde_json::Value::Null | serde_json::Value::Bool(false))
    }

    /// Returns the value of an option of the driver.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.as_str()
    }

    /// Returns the Compose project that the object is marked with.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.labels.get(PROJECT)?.as_str()
    }

    /// Returns true if Compose made the object, as a network or a volume of that kind.
    #[must_use]
    pub fn is_made_by_compose(&self, kind: ObjectKind) -> bool {
        self.labels.contains_key(match kind {
            ObjectKind::Network => "com.docker.compose.network",
            ObjectKind::Volume => "com.docker.compose.volume",
        })
    }

    /// Returns the subnets of a network.
    #[must_use]
    pub fn subnets(&self) -> BTreeSet<IpNet> {
        self.ipam.config.iter().filter_map(|pool| pool.subnet.parse::<IpNet>().ok()).map(|net| net.trunc()).collect()
    }

    /// Returns the settings. `keyed` makes the digest of a value that may be secret.
    #[must_use]
    pub fn settings(&self, kind: ObjectKind, keyed: &dyn Fn([u8; 32]) -> String) -> Settings {
        let default = if kind == ObjectKind::Network { "bridge" } else { "local" };
        let driver = if self.driver.is_empty() { default } else { &self.driver };
        let mut settings = Settings::from([(DRIVER.to_owned(), checked::said(driver))]);
        for (prefix, values) in [(OPTION, &self.options), (LABEL, &self.labels)] {
            let digest = |value: &serde_json::Value| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                keyed(*blake3::hash(text.as_bytes()).as_bytes())
            };
            let named = values.iter().take(MOST).filter(|(name, _)| name.len() <= 400);
            settings.extend(named.map(|(name, value)| (checked::said(&format!("{prefix}{name}")), digest(value))));
        }
        if kind == ObjectKind::Volume {
            return settings;
        }
        let flag = |name: &str, value: bool| (name.to_owned(), value.to_string());
        settings.extend([flag("internal", self.internal), flag("attachable", self.attachable)]);
        settings.extend(self.ipv6.map(|ipv6| flag("enable_ipv6", ipv6)));
        let pools = self.ipam.config.iter().take(100).filter(|pool| !pool.subnet.is_empty());
        for pool in pools {
            let subnet = address(&pool.subnet);
            let more = [("gateway", &pool.gateway), ("ip_range", &pool.ip_range)];
            let given = more.into_iter().filter(|(_, value)| !value.is_empty());
            settings.extend(given.map(|(name, value)| (format!("{name} of {subnet}"), address(value))));
            // The engine adds a subnet of the other family by itself.
            settings.insert(format!("{SUBNET}{subnet}"), "set".to_owned());
        }
        settings
    }
}

/// Returns an address or a subnet in its usual notation.
fn address(text: &str) -> String {
    let subnet = text.parse::<IpNet>().map(|net| net.trunc().to_string());
    let single = || text.parse::<std::net::IpAddr>().map(|address| address.to_string());
    subnet.or_else(|_| single()).unwrap_or_else(|_| checked::said(text))
}

/// Returns the settings in which an object of the engine differs from the wanted ones, as phrases. Settings that
/// nobody wants count only if the `former` release wanted them: engines and Compose add their own.
#[must_use]
pub fn differences(wanted: &Settings, former: Option<&Settings>, seen: &Settings) -> Vec<String> {
    let shown = |name: &str, value: &str| {
        let secret = name.starts_with(OPTION) || name.starts_with(LABEL);
        if secret { format!("{name} differs") } else { format!("{name} is {value}") }
    };
    let differs = |(name, value): (&String, &String)| match seen.get(name) {
        Some(found) if found == value => None,
        Some(found) => Some(shown(name, found)),
        None => Some(format!("{name} is missing")),
    };
    let dropped = former.into_iter().flatten().filter(|(name, _)| !wanted.contains_key(*name));
    let stays = |(name, value): (&String, &String)| {
        seen.get(name).filter(|found| *found == value).map(|_| format!("{name} is still set"))
    };
    wanted.iter().filter_map(differs).chain(dropped.filter_map(stays)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str, kind: ObjectKind) -> Settings {
        let object: Object = serde_json::from_str(json).expect("valid");
        let object = if json.contains("\"Driver\"") { object } else { object.of_model() };
        object.settings(kind, &|digest| blake3::Hash::from_bytes(digest).to_hex()[..8].to_owned())
    }

    #[test]
    fn the_model_and_the_engine_describe_one_network_alike() {
        let wanted = settings(
            r#"{"name":"shop_back","driver_opts":{"com.docker.network.bridge.name":"br-$$x"},"internal":true,
            "ipam":{"config":[{"subnet":"10.5.0.0/16","gateway":"10.5.0.1"}]},"labels":{"a":"b"}}"#,
            ObjectKind::Network,
        );
        let engine = r#"{"Name":"shop_back","Id":"1","Scope":"local","Driver":"bridge","EnableIPv6":false,
            "IPAM":{"Driver":"default","Options":null,"Config":[{"Subnet":"10.5.0.0/16","Gateway":"10.5.0.1"}]},
            "Internal":true,"Attachable":false,"Options":{"com.docker.network.bridge.name":"br-$x"},
            "Labels":{"a":"b","com.docker.compose.project":"shop"}}"#;
        let seen = settings(engine, ObjectKind::Network);
        assert_eq!(differences(&wanted, None, &seen), [""; 0]);
        let found: Object = serde_json::from_str(engine).expect("valid");
        assert_eq!(found.project(), Some("shop"));
        assert_eq!(found.subnets(), ["10.5.0.0/16".parse().unwrap()].into());
        let open = settings(&engine.replace(r#""Internal":true"#, r#""Internal":false"#), ObjectKind::Network);
        assert_eq!(differences(&wanted, None, &open), ["internal is false"]);
        let both = engine.replace(r#""Config":["#, r#""Config":[{"Subnet":"fd00:5::/64"},"#);
        assert_eq!(differences(&wanted, None, &settings(&both, ObjectKind::Network)), [""; 0]);
        let moved = settings(&engine.replace("10.5.", "10.6.").replace("br-$x", "br-y"), ObjectKind::Network);
        let found = differences(&wanted, None, &moved);
        assert_eq!(
            found,
            [
                "gateway of 10.5.0.0/16 is missing",
                "option com.docker.network.bridge.name differs",
                "subnet 10.5.0.0/16 is missing"
            ]
        );
    }

    #[test]
    fn a_setting_that_left_the_definition_counts_if_a_release_had_it() {
        let plain = settings(r#"{"name":"n"}"#, ObjectKind::Network);
        let former = settings(r#"{"ipam":{"config":[{"subnet":"10.5.0.0/16"}]}}"#, ObjectKind::Network);
        let seen = settings(r#"{"Driver":"bridge","IPAM":{"Config":[{"Subnet":"10.5.0.0/16"}]}}"#, ObjectKind::Network);
        assert_eq!(differences(&plain, None, &seen), [""; 0], "the engine chose it");
        assert_eq!(differences(&plain, Some(&former), &seen), ["subnet 10.5.0.0/16 is still set"]);
    }

    #[test]
    fn volumes_have_a_driver_options_and_labels() {
        let wanted =
            settings(r#"{"name":"v","driver_opts":{"type":"none","o":"bind","device":"/a"}}"#, ObjectKind::Volume);
        let engine = r#"{"Name":"v","Driver":"local","Mountpoint":"/m","Options":{"type":"none","o":"bind","device":"/b"},"Labels":null}"#;
        assert_eq!(differences(&wanted, None, &settings(engine, ObjectKind::Volume)), ["option device differs"]);
        let bare = engine.replace(r#"{"type":"none","o":"bind","device":"/b"}"#, "null");
        assert_eq!(differences(&wanted, None, &settings(&bare, ObjectKind::Volume)).len(), 3);
    }

    #[test]
    fn names_are_the_engines() {
        assert!(["a", "shop_default", "x.y-z", "0"].into_iter().all(is_name));
        assert!(["", "-a", "a b", "a/b", "a\n", "é"].into_iter().all(|name| !is_name(name)));
    }
}
