//! An environment as written, and its small sections. Does not know other environments.

use super::{
    ApplicationSpec, CheckSpec, ProvisionedSpec, RulesSpec, ScheduleSpec, ScriptSpec, SecurityUpdatesSpec, SshSpec,
    Switch, Switched, Text, Whole,
};
use crate::manifest::environment::{DriftPolicy, EngineSource, Rollback};
use crate::manifest::written::{Given, Written};
use crate::model::state::Stage;
use schemars::JsonSchema;
use serde::Deserialize;

/// One named thing that is deployed to one host.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Environment", deny_unknown_fields, default)]
pub struct EnvironmentSpec {
    /// An existing host.
    pub registered: Given<RegisteredSpec>,
    /// A machine that OpenTofu makes.
    pub provisioned: Given<ProvisionedSpec>,
    /// Settings of the SSH connection to the host.
    pub ssh: Given<SshSpec>,
    /// Further public addresses of the host.
    pub public_addresses: Given<Vec<Written<String>>>,
    /// Setup of the host before the application is deployed.
    pub configure: Given<ConfigureSpec>,
    /// Application that runs on the host.
    pub application: Given<ApplicationSpec>,
    /// Checks of the running application; the stage `running` waits for them.
    pub checks: Given<Vec<Written<CheckSpec>>>,
    /// Stage that the environment is brought to; default `running`.
    pub stage: Given<Stage>,
    /// Conditions for the stage `running`.
    pub health: Given<HealthSpec>,
    /// True if the environment must not be destroyed. The host and the store keep the protection even if the
    /// environment is removed from the file. An apply with `protect: false` lifts the protection.
    pub protect: Given<Switch>,
    /// Previous name of the environment, which keeps its directory on the host, its Compose project and its data. Must
    /// stay in the file as long as the environment does.
    #[schemars(regex(pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    pub renamed_from: Given<String>,
    /// Action if a release does not become healthy: restore the last healthy release (`on_failure`, the default), or
    /// keep the failed one (`never`).
    pub rollback: Given<Rollback>,
    /// Number of releases that the host keeps for rollback, including the live one; default 5.
    #[schemars(range(min = 1, max = 100))]
    pub keep_releases: Given<Whole>,
    /// Environments that must be healthy first.
    pub depends_on: Given<Vec<Written<String>>>,
    /// Policy for drift: differences that nobody asked for in this file.
    pub drift: Given<DriftSpec>,
}

/// An existing host. It belongs to its owner and is never destroyed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Registered", deny_unknown_fields, default)]
pub struct RegisteredSpec {
    /// DNS name, IPv4 or IPv6 address.
    #[schemars(length(min = 1))]
    pub address: Given<String>,
}

/// Setup of the host before the application is deployed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Configure", deny_unknown_fields, default)]
pub struct ConfigureSpec {
    /// The Docker engine.
    pub engine: Given<EngineSpec>,
    /// Firewall that allows only SSH, the application's published ports and the ports listed here; default: on if
    /// deployer makes the machine, else off.
    pub firewall: Given<Switched<RulesSpec>>,
    /// Security updates that the host installs by itself; default: on if deployer makes the machine, else as the host's
    /// owner configured them.
    pub security_updates: Given<Switched<SecurityUpdatesSpec>>,
    /// Idempotent steps that you write, run in this order.
    pub scripts: Given<Vec<Written<ScriptSpec>>>,
    /// Commands that the host runs at certain times.
    pub schedules: Given<Vec<Written<ScheduleSpec>>>,
}

/// Requirements for the Docker engine.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Engine", deny_unknown_fields, default)]
pub struct EngineSpec {
    /// Lowest accepted version, quoted; default "24.0".
    #[schemars(regex(pattern = r"^[0-9]{1,4}(\.[0-9]{1,4}){0,2}$"))]
    pub minimum: Given<Text>,
    /// True if deployer may install the engine; default true.
    pub install: Given<Switch>,
    /// Packages that the engine is installed from; default `auto`.
    pub source: Given<EngineSource>,
    /// True if containers must see the IPv6 addresses of their peers. Engines before version 27 need to be configured
    /// and restarted for that. Default: true if deployer installs the engine for a tracker.
    pub ipv6: Given<Switch>,
    /// Mirror of Docker's apt repository, used if `source` selects Docker's packages.
    pub repository: Given<RepositorySpec>,
}

/// A mirror of Docker's apt repository.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Repository", deny_unknown_fields, default)]
pub struct RepositorySpec {
    /// URL in the sources entry, before the suite: `https://mirror.example.com/linux/debian`.
    #[schemars(regex(pattern = "^https?://"))]
    pub url: Given<String>,
    /// File with the ASCII-armoured key that signs the repository.
    #[schemars(length(min = 1))]
    pub key_file: Given<String>,
}

/// Conditions for the stage `running`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Health", deny_unknown_fields, default)]
pub struct HealthSpec {
    /// Time that services may take to become healthy; default 3m.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub timeout: Given<Text>,
    /// Time that a service without a health check must run without a restart; default 2s.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub stable_for: Given<Text>,
    /// True if a release of a tracker must also pass `deployer test`, or be rolled back; default false.
    pub smoke: Given<Switch>,
}

/// Policy for drift: differences that nobody asked for in the manifest.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Drift", deny_unknown_fields, default)]
pub struct DriftSpec {
    /// Policy: apply and watch correct drift (`correct`, the default), or only show it (`detect`).
    pub policy: Given<DriftPolicy>,
    /// Facts that belong to the host. If they differ there, they are not corrected.
    pub ignore: Given<Vec<Written<IgnoreSpec>>>,
}

/// A fact that belongs to the host.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Ignore", deny_unknown_fields, default)]
pub struct IgnoreSpec {
    /// Fact as `KIND:FACT`, the name in plans (`files:app/motd`); a `*` at the end matches any rest.
    #[schemars(regex(pattern = r"^[a-z]+:."))]
    pub fact: Given<String>,
    /// Reason, for readers of the plan.
    #[schemars(length(min = 1))]
    pub reason: Given<String>,
}
