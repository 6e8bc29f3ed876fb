//! A machine that OpenTofu makes, as the engine sees it. Serialised, each section is the variables of its template.
//! Never holds a secret's value.

use super::network::Protocol;
use crate::manifest::scope::Scope;
use crate::model::secret::SecretSource;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The name of Hetzner's secret.
pub const TOKEN: &str = "token";

/// A machine that is to be made.
#[derive(Clone, Debug)]
pub struct Provision {
    /// What makes it.
    pub machine: Machine,
    /// OpenTofu's own name of a backend for its state, with its settings; `None`: our store.
    pub backend: Option<(String, Map<String, Value>)>,
    /// How long making or changing it may take.
    pub timeout: Duration,
    /// What OpenTofu's state is encrypted with in our store; `None`: a key of the store's own.
    pub passphrase: Option<SecretSource>,
    /// Where templates of the user's own lie, absolute; it need not be there.
    pub templates: Utf8PathBuf,
    /// Where the files that it is made from may be on this machine.
    pub scope: Arc<Scope>,
    /// As whom and where a machine that is made lets in.
    pub login: Login,
}

/// What the manifest says of the SSH server of a machine: one that is there may have been made with another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The user.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
}

/// What makes a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// LXD.
    Lxd(Lxd),
    /// Hetzner Cloud.
    Hetzner(Hetzner),
    /// A module of the user's own.
    Module(Module),
}

/// A container or virtual machine of LXD.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lxd {
    /// Its image.
    pub image: String,
    /// Container or virtual machine.
    pub r#type: LxdKind,
    /// Its limits and settings.
    pub config: BTreeMap<String, String>,
    /// Its root disk, where it is not its profiles' to say.
    pub disk: Option<LxdDisk>,
    /// The network that its first interface joins, where it is not its profiles' to say.
    pub network: Option<String>,
    /// The LXD server.
    pub remote: Option<String>,
    /// The LXD project.
    pub project: Option<String>,
    /// Its profiles, in their order.
    pub profiles: Vec<String>,
}

/// The root disk of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LxdDisk {
    /// The storage pool.
    pub pool: String,
    /// Its size, as LXD writes it; `None`: as the pool has it.
    pub size: Option<String>,
}

/// What kind of instance LXD makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LxdKind {
    /// A system container.
    #[default]
    Container,
    /// A virtual machine.
    VirtualMachine,
}

/// A server of Hetzner Cloud.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hetzner {
    /// Its size.
    pub server_type: String,
    /// Where it stands.
    pub location: String,
    /// Its image.
    pub image: String,
    /// The API token, where the manifest names it.
    #[serde(skip)]
    pub token: Option<SecretSource>,
    /// Whether it gets an IPv4 address.
    pub ipv4: bool,
    /// Whether it gets an IPv6 network.
    pub ipv6: bool,
    /// What the firewall before it lets in; `None`: there is none.
    pub firewall: Option<Vec<Opening>>,
    /// A volume that outlasts it.
    pub volume: Option<Volume>,
    /// Whether Hetzner refuses to delete it.
    pub delete_protection: bool,
    /// The name of a primary IPv4 address that exists.
    pub primary_ip: Option<String>,
    /// Labels of the user's own.
    pub labels: BTreeMap<String, String>,
}

/// What a firewall lets in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opening {
    /// The protocol.
    pub protocol: Protocol,
    /// The port, as text.
    pub port: String,
    /// Networks that it lets in.
    pub from: Vec<String>,
}

/// A volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Volume {
    /// Its size in GB, as Hetzner counts.
    pub size: u32,
    /// Where it is mounted.
    pub mount: String,
}

/// A module of the user's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Module {
    /// Where it lies.
    pub source: ModuleSource,
    /// The address in it of the resource that is the machine.
    pub resource: Option<String>,
    /// Values of its variables.
    pub variables: Map<String, Value>,
    /// Values of its variables that are secret.
    #[serde(skip)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Its outputs: ours → the module's name of it.
    pub outputs: Outputs,
}

/// Where a module lies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ModuleSource {
    /// A directory on this machine, absolute.
    Directory(Utf8PathBuf),
    /// An address that OpenTofu resolves, with the version where it has one.
    Address(String, Option<String>),
}

/// The names of a module's outputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outputs {
    /// The address.
    pub address: String,
    /// The SSH port.
    pub port: String,
    /// The login name.
    pub user: String,
    /// The public host key.
    pub host_key: String,
}

impl Machine {
    /// Where its secrets come from, by name.
    #[must_use]
    pub fn secrets(&self) -> BTreeMap<String, SecretSource> {
        match self {
            Self::Lxd(_) => BTreeMap::new(),
            Self::Hetzner(hetzner) => hetzner.token.iter().map(|token| (TOKEN.to_owned(), token.clone())).collect(),
            Self::Module(module) => module.secrets.clone(),
        }
    }

    /// With these secrets in place of its own.
    #[must_use]
    pub fn with_secrets(mut self, mut secrets: BTreeMap<String, SecretSource>) -> Self {
        match &mut self {
            Self::Lxd(_) => {}
            Self::Hetzner(hetzner) => hetzner.token = secrets.remove(TOKEN),
            Self::Module(module) => module.secrets = secrets,
        }
        self
    }

    /// What its provider keeps from being deleted until an apply lifts that, as a sentence.
    #[must_use]
    pub fn kept_by_provider(&self) -> Option<&'static str> {
        matches!(self, Self::Hetzner(hetzner) if hetzner.delete_protection)
            .then_some("Hetzner keeps the server and its volume from being deleted")
    }

    /// Its key in the manifest, and the directory of its templates.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lxd(_) => "lxd",
            Self::Hetzner(_) => "hetzner",
            Self::Module(_) => "module",
        }
    }
}
