//! A machine that OpenTofu makes, as the engine sees it. Serialised, each section holds the variables of its template.
//! Values of secrets are not part of it.

use super::network::Protocol;
use crate::manifest::scope::Scope;
use crate::model::secret::SecretSource;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Name of Hetzner's secret.
pub const TOKEN: &str = "token";

/// A machine that OpenTofu makes.
#[derive(Clone, Debug)]
pub struct Provision {
    /// Provider or module that makes the machine.
    pub machine: Machine,
    /// OpenTofu's name of a backend for its state, with its settings; `None` for deployer's store.
    pub backend: Option<(String, Map<String, Value>)>,
    /// Time limit for making or changing the machine.
    pub timeout: Duration,
    /// Passphrase that encrypts OpenTofu's state in deployer's store; `None` for a key that the store keeps.
    pub passphrase: Option<SecretSource>,
    /// Directory of the user's own templates, absolute. It may not exist.
    pub templates: Utf8PathBuf,
    /// Part of this machine's disk that the machine's files may be in.
    pub scope: Arc<Scope>,
    /// Login of a machine that is made now.
    pub login: Login,
}

/// Login that the manifest sets for the machine's SSH server. An existing machine may have been made with another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The user.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
}

/// Provider or module that makes a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// LXD.
    Lxd(Lxd),
    /// Hetzner Cloud.
    Hetzner(Hetzner),
    /// A module that the user wrote or chose.
    Module(Module),
}

/// A container or virtual machine of LXD.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lxd {
    /// Image of the instance.
    pub image: String,
    /// Container or virtual machine.
    pub r#type: LxdKind,
    /// Limits and settings of the instance.
    pub config: BTreeMap<String, String>,
    /// Root disk, if its profiles do not define it.
    pub disk: Option<LxdDisk>,
    /// Network that the first interface joins, if the profiles do not define it.
    pub network: Option<String>,
    /// The LXD server.
    pub remote: Option<String>,
    /// The LXD project.
    pub project: Option<String>,
    /// Profiles, in order.
    pub profiles: Vec<String>,
}

/// The root disk of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LxdDisk {
    /// The storage pool.
    pub pool: String,
    /// Size of the disk, in LXD's notation; `None` for the pool's default.
    pub size: Option<String>,
}

/// Kind of an LXD instance.
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
    /// Server type, which sets the server's size.
    pub server_type: String,
    /// Location of the server.
    pub location: String,
    /// Image of the server.
    pub image: String,
    /// API token, if the manifest names one.
    #[serde(skip)]
    pub token: Option<SecretSource>,
    /// True if the server gets an IPv4 address.
    pub ipv4: bool,
    /// True if the server gets an IPv6 network.
    pub ipv6: bool,
    /// Ports that Hetzner's firewall opens; `None` for no firewall.
    pub firewall: Option<Vec<Opening>>,
    /// Volume that outlasts the server.
    pub volume: Option<Volume>,
    /// True if Hetzner must refuse to delete the server.
    pub delete_protection: bool,
    /// Name of an existing primary IPv4 address.
    pub primary_ip: Option<String>,
    /// Labels that the user chose.
    pub labels: BTreeMap<String, String>,
}

/// A port that a firewall opens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opening {
    /// The protocol.
    pub protocol: Protocol,
    /// The port, as text.
    pub port: String,
    /// Networks that may reach the port.
    pub from: Vec<String>,
}

/// A volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Volume {
    /// Size in GB, as Hetzner counts.
    pub size: u32,
    /// Mount point.
    pub mount: String,
}

/// A module that the user wrote or chose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Module {
    /// Source of the module.
    pub source: ModuleSource,
    /// Address, inside the module, of the resource that is the machine.
    pub resource: Option<String>,
    /// Values of the module's variables.
    pub variables: Map<String, Value>,
    /// Secret values of the module's variables.
    #[serde(skip)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Names of the module's outputs.
    pub outputs: Outputs,
}

/// Source of a module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ModuleSource {
    /// A directory on this machine, absolute.
    Directory(Utf8PathBuf),
    /// An address that OpenTofu resolves, with the version if it has one.
    Address(String, Option<String>),
}

/// Names of a module's outputs, by their meaning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outputs {
    /// Output with the address.
    pub address: String,
    /// Output with the SSH port.
    pub port: String,
    /// Output with the login name.
    pub user: String,
    /// Output with the public host key.
    pub host_key: String,
}

impl Machine {
    /// Returns the sources of the machine's secrets, by name.
    #[must_use]
    pub fn secrets(&self) -> BTreeMap<String, SecretSource> {
        match self {
            Self::Lxd(_) => BTreeMap::new(),
            Self::Hetzner(hetzner) => hetzner.token.iter().map(|token| (TOKEN.to_owned(), token.clone())).collect(),
            Self::Module(module) => module.secrets.clone(),
        }
    }

    /// Replaces the machine's secrets.
    #[must_use]
    pub fn with_secrets(mut self, mut secrets: BTreeMap<String, SecretSource>) -> Self {
        match &mut self {
            Self::Lxd(_) => {}
            Self::Hetzner(hetzner) => hetzner.token = secrets.remove(TOKEN),
            Self::Module(module) => module.secrets = secrets,
        }
        self
    }

    /// Returns a sentence that names what the provider refuses to delete until an apply lifts the protection.
    #[must_use]
    pub fn kept_by_provider(&self) -> Option<&'static str> {
        matches!(self, Self::Hetzner(hetzner) if hetzner.delete_protection)
            .then_some("Hetzner protects the server and its volume from deletion")
    }

    /// Returns the key in the manifest, which is also the directory of the machine's templates.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lxd(_) => "lxd",
            Self::Hetzner(_) => "hetzner",
            Self::Module(_) => "module",
        }
    }
}
