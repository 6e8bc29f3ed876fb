//! A machine that OpenTofu makes, as written. Does not know what OpenTofu makes of it.

use super::{Switch, Text, ValueSpec, Whole};
use crate::manifest::provision::LxdKind;
use crate::manifest::written::{Given, Written};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A machine that OpenTofu makes: exactly one of `lxd`, `hetzner`, `module`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Provisioned", deny_unknown_fields, default)]
pub struct ProvisionedSpec {
    /// A container or virtual machine of LXD.
    pub lxd: Given<LxdSpec>,
    /// A server of Hetzner Cloud.
    pub hetzner: Given<HetznerSpec>,
    /// Any machine that an OpenTofu module makes.
    pub module: Given<ModuleSpec>,
    /// Backend of OpenTofu's state, in the form of OpenTofu's documentation: `{ s3: { bucket: … } }`; default:
    /// encrypted in the state store.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    pub backend: Given<BackendSpec>,
    /// Time limit for making or changing the machine; default 30m.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub timeout: Given<Text>,
}

/// Name and settings of a backend.
pub type BackendSpec = BTreeMap<Written<String>, Written<BTreeMap<String, Value>>>;

/// A container or virtual machine of LXD.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Lxd", deny_unknown_fields, default)]
pub struct LxdSpec {
    /// Image, which must have cloud-init: `ubuntu:24.04`, `images:debian/13/cloud`.
    #[schemars(length(min = 1))]
    pub image: Given<String>,
    /// Kind of instance, container or virtual machine; default `container`.
    pub r#type: Given<LxdKind>,
    /// Number of processors that the instance may use; default: all.
    #[schemars(range(min = 1))]
    pub cpus: Given<Whole>,
    /// Memory that the instance may use (`2GiB`); default: set by the profiles.
    #[schemars(regex(pattern = r"^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)$"))]
    pub memory: Given<Text>,
    /// Size of the root disk (`10GiB`); default: set by the profiles.
    #[schemars(regex(pattern = r"^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)$"))]
    pub disk: Given<Text>,
    /// Storage pool of the root disk; default: set by the profiles, or `default` if `disk` is set.
    #[schemars(length(min = 1))]
    pub pool: Given<String>,
    /// Network that the first interface joins; default: set by the profiles.
    #[schemars(length(min = 1))]
    pub network: Given<String>,
    /// LXD server, by its name in LXD's configuration; default: the local server.
    #[schemars(length(min = 1))]
    pub remote: Given<String>,
    /// LXD project; default `default`.
    #[schemars(length(min = 1))]
    pub project: Given<String>,
    /// Profiles of the instance; default `[default]`.
    pub profiles: Given<Vec<Written<String>>>,
    /// Further settings of the instance, which override those above. A container gets `security.nesting`, which Docker
    /// needs.
    pub config: Given<BTreeMap<Written<String>, Value>>,
}

/// A server of Hetzner Cloud.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Hetzner", deny_unknown_fields, default)]
pub struct HetznerSpec {
    /// Server type: `cx23`, `cax11`. A new type is applied in place; the server restarts.
    #[schemars(length(min = 1))]
    pub server_type: Given<String>,
    /// Location of the server: `nbg1`, `fsn1`, `hel1`.
    #[schemars(length(min = 1))]
    pub location: Given<String>,
    /// Image of the server; default `debian-13`.
    #[schemars(length(min = 1))]
    pub image: Given<String>,
    /// API token; default: the token that the provider finds (`HCLOUD_TOKEN`).
    pub token: Given<ValueSpec>,
    /// True to give the server an IPv4 address; default true.
    pub ipv4: Given<Switch>,
    /// True to give the server an IPv6 network; default true.
    pub ipv6: Given<Switch>,
    /// True to put a Hetzner firewall in front of the server that allows SSH, ICMP, the ports of `configure.firewall`
    /// and the ports of a tracker; default false.
    pub firewall: Given<Switch>,
    /// Volume that outlasts the server.
    pub volume: Given<VolumeSpec>,
    /// True if Hetzner must refuse to delete the server; default false.
    pub delete_protection: Given<Switch>,
    /// Name of an existing primary IPv4 address, for an address that stays.
    #[schemars(length(min = 1))]
    pub primary_ip: Given<String>,
    /// Labels that you choose.
    pub labels: Given<BTreeMap<Written<String>, Written<String>>>,
}

/// A volume that outlasts its server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Volume", deny_unknown_fields, default)]
pub struct VolumeSpec {
    /// Size, at least `10GiB`; it can grow but not shrink.
    #[schemars(regex(pattern = r"^[0-9]+(GB|GiB)$"))]
    pub size: Given<Text>,
    /// Mount point.
    #[schemars(regex(pattern = "^/."))]
    pub mount: Given<String>,
}

/// Any machine that an OpenTofu module makes. Outputs of the module tell deployer how to reach the machine.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Module", deny_unknown_fields, default)]
pub struct ModuleSpec {
    /// Directory of the module (`./infra`), or any module address that OpenTofu accepts.
    #[schemars(length(min = 1))]
    pub source: Given<String>,
    /// Resource that is the machine (`terraform_data.machine`): data on the machine counts as lost only if this
    /// resource is replaced. Default: any resource of the module may be the machine.
    #[schemars(length(min = 1))]
    pub resource: Given<String>,
    /// Version of a module from a registry.
    #[schemars(length(min = 1))]
    pub version: Given<Text>,
    /// Values of the module's variables.
    pub variables: Given<BTreeMap<Written<String>, Value>>,
    /// Secret values of the module's variables.
    pub secrets: Given<BTreeMap<Written<String>, Written<ValueSpec>>>,
    /// Names of the outputs that tell how to reach the machine.
    pub outputs: Given<OutputsSpec>,
}

/// Names of a module's outputs that tell how to reach the machine.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Outputs", deny_unknown_fields, default)]
pub struct OutputsSpec {
    /// Output with the address; default `address`.
    #[schemars(length(min = 1))]
    pub address: Given<String>,
    /// Output with the SSH port; default `port`, if the module has it.
    #[schemars(length(min = 1))]
    pub port: Given<String>,
    /// Output with the login name; default `user`, if the module has it.
    #[schemars(length(min = 1))]
    pub user: Given<String>,
    /// Output with the public host key, `TYPE BASE64`; default `host_key`, if the module has it.
    #[schemars(length(min = 1))]
    pub host_key: Given<String>,
}
