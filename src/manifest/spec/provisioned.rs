//! A machine that is to be made, as written. Never knows what OpenTofu makes of it.

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
    /// Whatever an OpenTofu module makes.
    pub module: Given<ModuleSpec>,
    /// Where OpenTofu keeps its state, as its own documentation has it: `{ s3: { bucket: … } }`; default: encrypted in
    /// the state store.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    pub backend: Given<BackendSpec>,
    /// How long making or changing the machine may take; default 30m.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub timeout: Given<Text>,
}

/// A backend's name and its settings.
pub type BackendSpec = BTreeMap<Written<String>, Written<BTreeMap<String, Value>>>;

/// A container or virtual machine of LXD.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Lxd", deny_unknown_fields, default)]
pub struct LxdSpec {
    /// Its image: `ubuntu:24.04`, `images:debian/13/cloud`. It must have cloud-init.
    #[schemars(length(min = 1))]
    pub image: Given<String>,
    /// Container or virtual machine; default `container`.
    pub r#type: Given<LxdKind>,
    /// How many processors it may use; default: all.
    #[schemars(range(min = 1))]
    pub cpus: Given<Whole>,
    /// How much memory it may use (`2GiB`); default: as its profiles have it.
    #[schemars(regex(pattern = r"^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)$"))]
    pub memory: Given<Text>,
    /// Size of its root disk (`10GiB`); default: as its profiles have it.
    #[schemars(regex(pattern = r"^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)$"))]
    pub disk: Given<Text>,
    /// The storage pool of its root disk; default: as its profiles have it, or `default` where `disk` is set.
    #[schemars(length(min = 1))]
    pub pool: Given<String>,
    /// The network that its first interface joins; default: as its profiles have it.
    #[schemars(length(min = 1))]
    pub network: Given<String>,
    /// The LXD server, by its name in LXD's own configuration; default: the local one.
    #[schemars(length(min = 1))]
    pub remote: Given<String>,
    /// The LXD project; default `default`.
    #[schemars(length(min = 1))]
    pub project: Given<String>,
    /// Its profiles; default `[default]`.
    pub profiles: Given<Vec<Written<String>>>,
    /// Further settings of the instance, over those above; a container gets `security.nesting`, which Docker needs.
    pub config: Given<BTreeMap<Written<String>, Value>>,
}

/// A server of Hetzner Cloud.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Hetzner", deny_unknown_fields, default)]
pub struct HetznerSpec {
    /// Its size: `cx23`, `cax11`. Another one is changed in place; the server restarts.
    #[schemars(length(min = 1))]
    pub server_type: Given<String>,
    /// Where it stands: `nbg1`, `fsn1`, `hel1`.
    #[schemars(length(min = 1))]
    pub location: Given<String>,
    /// Its image; default `debian-13`.
    #[schemars(length(min = 1))]
    pub image: Given<String>,
    /// The API token; default: as the provider finds it (`HCLOUD_TOKEN`).
    pub token: Given<ValueSpec>,
    /// Whether it gets an IPv4 address; default true.
    pub ipv4: Given<Switch>,
    /// Whether it gets an IPv6 network; default true.
    pub ipv6: Given<Switch>,
    /// A firewall before the server: SSH, ICMP, what `configure.firewall` allows and the ports of a tracker; default
    /// false.
    pub firewall: Given<Switch>,
    /// A volume that outlasts the server.
    pub volume: Given<VolumeSpec>,
    /// Whether Hetzner refuses to delete it; default false.
    pub delete_protection: Given<Switch>,
    /// The name of a primary IPv4 address that exists, for an address that stays.
    #[schemars(length(min = 1))]
    pub primary_ip: Given<String>,
    /// Labels of your own.
    pub labels: Given<BTreeMap<Written<String>, Written<String>>>,
}

/// A volume that outlasts its server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Volume", deny_unknown_fields, default)]
pub struct VolumeSpec {
    /// Its size, at least `10GiB`; it can grow, not shrink.
    #[schemars(regex(pattern = r"^[0-9]+(GB|GiB)$"))]
    pub size: Given<Text>,
    /// Where it is mounted.
    #[schemars(regex(pattern = "^/."))]
    pub mount: Given<String>,
}

/// Whatever an OpenTofu module makes. Its outputs say how to reach it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Module", deny_unknown_fields, default)]
pub struct ModuleSpec {
    /// The module's directory (`./infra`), or any address of a module that OpenTofu takes.
    #[schemars(length(min = 1))]
    pub source: Given<String>,
    /// The resource that is the machine (`terraform_data.machine`): only where it is replaced does what is on the machine
    /// go; default: any of its resources might be.
    #[schemars(length(min = 1))]
    pub resource: Given<String>,
    /// The version, for a module of a registry.
    #[schemars(length(min = 1))]
    pub version: Given<Text>,
    /// Values of its variables.
    pub variables: Given<BTreeMap<Written<String>, Value>>,
    /// Values of its variables that are secret.
    pub secrets: Given<BTreeMap<Written<String>, Written<ValueSpec>>>,
    /// Which of its outputs say how to reach the machine.
    pub outputs: Given<OutputsSpec>,
}

/// Which outputs of a module say how to reach the machine.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Outputs", deny_unknown_fields, default)]
pub struct OutputsSpec {
    /// The output with its address; default `address`.
    #[schemars(length(min = 1))]
    pub address: Given<String>,
    /// The output with its SSH port; default `port`, where the module has it.
    #[schemars(length(min = 1))]
    pub port: Given<String>,
    /// The output with the login name; default `user`, where the module has it.
    #[schemars(length(min = 1))]
    pub user: Given<String>,
    /// The output with its public host key, `TYPE BASE64`; default `host_key`, where the module has it.
    #[schemars(length(min = 1))]
    pub host_key: Given<String>,
}
