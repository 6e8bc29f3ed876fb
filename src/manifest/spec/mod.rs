//! The manifest as written: only its keys and their types. Does not resolve paths, apply defaults or read secrets.

mod application;
mod check;
mod configure;
mod environment;
mod firewall;
mod provisioned;
mod registry;
mod root;
mod scalar;
mod ssh;
mod switched;
mod tracker;
mod value;

pub use application::{ApplicationSpec, ComposeSpec};
pub use check::{CheckSpec, HttpSpec};
pub use configure::{ScheduleSpec, ScriptSpec, SecurityUpdatesSpec};
pub use environment::{
    ConfigureSpec, DriftSpec, EngineSpec, EnvironmentSpec, HealthSpec, IgnoreSpec, RegisteredSpec, RepositorySpec,
};
pub use firewall::{AllowSpec, RulesSpec};
pub use provisioned::{BackendSpec, HetznerSpec, LxdSpec, ModuleSpec, OutputsSpec, ProvisionedSpec, VolumeSpec};
pub use registry::RegistrySpec;
pub use root::ManifestSpec;
pub use scalar::{Scalar, Switch, Text, Whole};
pub use ssh::{HostKeys, SshSpec};
pub use switched::Switched;
pub use tracker::{
    AcmeSpec, AnnounceSpec, ApiSpec, BackupSpec, DatabaseSettingsSpec, DatabaseSpec, GrafanaSpec, HealthApiSpec,
    IssuerSpec, ListenerSpec, MysqlSpec, PrometheusSpec, SiteSpec, SqliteSpec, TlsSpec, TrackerSpec,
};
pub use value::{SourceSpec, ValueSpec};
