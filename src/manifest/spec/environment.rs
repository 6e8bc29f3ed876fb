//! An environment as written, and its small sections. Never knows about the other environments.

use super::{
    ApplicationSpec, CheckSpec, ProvisionedSpec, RulesSpec, ScheduleSpec, ScriptSpec, SecurityUpdatesSpec, SshSpec,
    Switch, Switched, Text, Whole,
};
use crate::manifest::environment::{DriftPolicy, EngineSource, Rollback};
use crate::manifest::written::{Given, Written};
use crate::model::state::Stage;
use schemars::JsonSchema;
use serde::Deserialize;

/// One named thing that is deployed to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Environment", deny_unknown_fields, default)]
pub struct EnvironmentSpec {
    /// An existing host.
    pub registered: Given<RegisteredSpec>,
    /// A machine that OpenTofu makes.
    pub provisioned: Given<ProvisionedSpec>,
    /// How to reach it.
    pub ssh: Given<SshSpec>,
    /// Further addresses under which the public reaches it.
    pub public_addresses: Given<Vec<Written<String>>>,
    /// What the host must have before the application comes.
    pub configure: Given<ConfigureSpec>,
    /// What runs there.
    pub application: Given<ApplicationSpec>,
    /// Checks of the running application; `running` waits for them.
    pub checks: Given<Vec<Written<CheckSpec>>>,
    /// How far its lifecycle is to go; default `running`.
    pub stage: Given<Stage>,
    /// When `running` counts.
    pub health: Given<HealthSpec>,
    /// Whether it may not be destroyed. Remembered on the host and in the store also where the environment leaves the
    /// file; lifted by an apply with `protect: false`.
    pub protect: Given<Switch>,
    /// Its name before: it keeps its place on the host, its Compose project and its data. Stays in the file as long as
    /// the environment does.
    #[schemars(regex(pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    pub renamed_from: Given<String>,
    /// What becomes of a release that does not become healthy: the last healthy one comes back (`on_failure`, the
    /// default), or it stays (`never`).
    pub rollback: Given<Rollback>,
    /// How many releases stay on the host to roll back to, the live one among them; default 5.
    #[schemars(range(min = 1, max = 100))]
    pub keep_releases: Given<Whole>,
    /// Environments that must be healthy first.
    pub depends_on: Given<Vec<Written<String>>>,
    /// What happens to differences that nobody asked for here.
    pub drift: Given<DriftSpec>,
}

/// An existing host. It belongs to its owner: it is never destroyed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Registered", deny_unknown_fields, default)]
pub struct RegisteredSpec {
    /// DNS name, IPv4 or IPv6 address.
    #[schemars(length(min = 1))]
    pub address: Given<String>,
}

/// What the host must have before the application comes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Configure", deny_unknown_fields, default)]
pub struct ConfigureSpec {
    /// The Docker engine.
    pub engine: Given<EngineSpec>,
    /// Closes the host but for SSH, what the application publishes and what is allowed here; default: on where deployer
    /// makes the machine, else off.
    pub firewall: Given<Switched<RulesSpec>>,
    /// Security updates, installed by the host itself; default: on where deployer makes the machine, else as the host's
    /// owner has it.
    pub security_updates: Given<Switched<SecurityUpdatesSpec>>,
    /// Idempotent steps of your own, in this order.
    pub scripts: Given<Vec<Written<ScriptSpec>>>,
    /// What the host does at certain times.
    pub schedules: Given<Vec<Written<ScheduleSpec>>>,
}

/// Which Docker engine is wanted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Engine", deny_unknown_fields, default)]
pub struct EngineSpec {
    /// The lowest version that is good enough, quoted; default "24.0".
    #[schemars(regex(pattern = r"^[0-9]{1,4}(\.[0-9]{1,4}){0,2}$"))]
    pub minimum: Given<Text>,
    /// Whether deployer may install it; default true.
    pub install: Given<Switch>,
    /// Where it is installed from; default `auto`.
    pub source: Given<EngineSource>,
    /// Whether containers see the true addresses of who talks to them over IPv6, which engines before 27 do only when
    /// configured and restarted; default: where deployer installs the engine for a tracker.
    pub ipv6: Given<Switch>,
    /// A mirror of Docker's apt repository, used where `source` leads to Docker's packages.
    pub repository: Given<RepositorySpec>,
}

/// A mirror of Docker's apt repository.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Repository", deny_unknown_fields, default)]
pub struct RepositorySpec {
    /// What stands in the sources entry before the suite: `https://mirror.example.com/linux/debian`.
    #[schemars(regex(pattern = "^https?://"))]
    pub url: Given<String>,
    /// File with the ASCII-armoured key that signs it.
    #[schemars(length(min = 1))]
    pub key_file: Given<String>,
}

/// When `running` counts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Health", deny_unknown_fields, default)]
pub struct HealthSpec {
    /// How long services may take to become healthy; default 3m.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub timeout: Given<Text>,
    /// How long a service without a health check must be up without a restart; default 2s.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub stable_for: Given<Text>,
    /// Whether a tracker's release must pass `deployer test` too, or be rolled back; default false.
    pub smoke: Given<Switch>,
}

/// What happens to differences that nobody asked for in the manifest.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Drift", deny_unknown_fields, default)]
pub struct DriftSpec {
    /// Whether apply and watch correct them, or only show them; default `correct`.
    pub policy: Given<DriftPolicy>,
    /// Facts that belong to the host: once they differ there, they are never corrected.
    pub ignore: Given<Vec<Written<IgnoreSpec>>>,
}

/// A fact that belongs to the host.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Ignore", deny_unknown_fields, default)]
pub struct IgnoreSpec {
    /// `KIND:FACT` as plans name them (`files:app/motd`); a `*` at its end stands for any rest.
    #[schemars(regex(pattern = r"^[a-z]+:."))]
    pub fact: Given<String>,
    /// Why, for those who read the plan.
    #[schemars(length(min = 1))]
    pub reason: Given<String>,
}
