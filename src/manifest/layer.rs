//! Merges `defaults` into every environment: maps merge, lists and scalars replace. Does not interpret values.

use super::spec::{
    AnnounceSpec, ApiSpec, ApplicationSpec, BackupSpec, ComposeSpec, ConfigureSpec, DatabaseSettingsSpec, DatabaseSpec,
    DriftSpec, EngineSpec, EnvironmentSpec, GrafanaSpec, HealthApiSpec, HealthSpec, HetznerSpec, HostKeys, IssuerSpec,
    LxdSpec, ModuleSpec, MysqlSpec, OutputsSpec, PrometheusSpec, ProvisionedSpec, RegisteredSpec, RepositorySpec,
    RulesSpec, SecurityUpdatesSpec, SqliteSpec, SshSpec, Switch, Switched, Text, TlsSpec, TrackerSpec, ValueSpec,
    VolumeSpec, Whole,
};
use super::written::{Given, Written};
use crate::manifest::environment::{DriftPolicy, EngineSource, Pull, Rollback};
use crate::manifest::provision::LxdKind;
use crate::manifest::tracker::LogLevel;
use crate::model::state::Stage;
use serde_json::Value;
use std::collections::BTreeMap;

/// A value that can be merged over a default.
pub trait Layer {
    /// Merges `self` over `under`: values of `self` replace those of `under`.
    #[must_use]
    fn over(self, under: &Self) -> Self;
}

impl<T: Layer + Clone> Layer for Given<T> {
    fn over(self, under: &Self) -> Self {
        match (self.0, &under.0) {
            (None, under) => Self(under.clone()),
            (Some(above), None) => Self(Some(above)),
            (Some(above), Some(under)) => {
                Self(Some(Box::new(Written { value: above.value.over(&under.value), spot: above.spot })))
            }
        }
    }
}

impl<V: Layer + Clone> Layer for BTreeMap<Written<String>, V> {
    fn over(mut self, under: &Self) -> Self {
        for (key, below) in under {
            let value = match self.remove(key) {
                Some(above) => above.over(below),
                None => below.clone(),
            };
            self.insert(key.clone(), value);
        }
        self
    }
}

impl<T> Layer for Vec<T> {
    fn over(self, _: &Self) -> Self {
        self
    }
}

/// Replaces the default as a whole.
impl<T> Layer for Written<T> {
    fn over(self, _: &Self) -> Self {
        self
    }
}

macro_rules! replace {
    ($($scalar:ty)*) => {$(
        impl Layer for $scalar {
            fn over(self, _: &Self) -> Self {
                self
            }
        }
    )*};
}
replace!(String Text Whole Switch ValueSpec HostKeys Stage EngineSource Pull Rollback DriftPolicy LogLevel IssuerSpec LxdKind Value);

macro_rules! merge {
    ($($map:ident { $($field:ident)* })*) => {$(
        impl Layer for $map {
            fn over(self, under: &Self) -> Self {
                Self { $($field: self.$field.over(&under.$field),)* }
            }
        }
    )*};
}
merge! {
    RegisteredSpec { address }
    LxdSpec { image r#type cpus memory disk pool network remote project profiles config }
    HetznerSpec { server_type location image token ipv4 ipv6 firewall volume delete_protection primary_ip labels }
    VolumeSpec { size mount }
    ModuleSpec { source resource version variables secrets outputs }
    OutputsSpec { address port user host_key }
    ConfigureSpec { engine firewall security_updates scripts schedules }
    RulesSpec { allow }
    SecurityUpdatesSpec { reboot_at }
    EngineSpec { minimum install source ipv6 repository }
    RepositorySpec { url key_file }
    ApplicationSpec { compose tracker }
    TrackerSpec { private listed database udp http api health_api announce persistent_completed log prometheus grafana tls backup ipv6 images archives pull project host_directory }
    DatabaseSettingsSpec { sqlite mysql }
    SqliteSpec { file }
    MysqlSpec { user password database host port root_password }
    ApiSpec { port token bind domain tls }
    HealthApiSpec { port publish bind domain tls }
    AnnounceSpec { interval minimum }
    PrometheusSpec { scrape_interval }
    GrafanaSpec { user password port bind domain tls }
    TlsSpec { email issuer }
    BackupSpec { at keep_days after }
    ComposeSpec { directory files templates variables archives seed links readable before pull project host_directory }
    HealthSpec { timeout stable_for smoke }
    DriftSpec { policy ignore }
    EnvironmentSpec { registered provisioned ssh public_addresses configure application checks stage health protect renamed_from rollback keep_releases depends_on drift }
}

impl Layer for DatabaseSpec {
    /// Merges with a default of the same kind of database; another kind replaces the default.
    fn over(self, under: &Self) -> Self {
        match (self, under) {
            (Self::Settings(above), Self::Settings(under)) if above.sqlite.0.is_some() == under.sqlite.0.is_some() => {
                Self::Settings(above.over(under))
            }
            (above, _) => above,
        }
    }
}

impl Layer for ProvisionedSpec {
    /// Merges with a default of the same kind of machine; another kind replaces the default.
    fn over(self, under: &Self) -> Self {
        let kinds = |one: &Self| [one.lxd.0.is_some(), one.hetzner.0.is_some(), one.module.0.is_some()];
        let same = kinds(&self) == kinds(under) || !kinds(&self).contains(&true);
        let of = |spec: &Self| if same { spec.clone() } else { Self::default() };
        let machine = of(under);
        Self {
            lxd: self.lxd.over(&machine.lxd),
            hetzner: self.hetzner.over(&machine.hetzner),
            module: self.module.over(&machine.module),
            backend: self.backend.over(&under.backend),
            timeout: self.timeout.over(&under.timeout),
        }
    }
}

impl Layer for SshSpec {
    /// Replaces the default's identity if `self` has one, in either form.
    fn over(self, under: &Self) -> Self {
        let own = self.identity.0.is_some() || self.identity_file.0.is_some();
        Self {
            port: self.port.over(&under.port),
            user: self.user.over(&under.user),
            identity_file: if own { self.identity_file } else { under.identity_file.clone() },
            identity: if own { self.identity } else { under.identity.clone() },
            host_key: self.host_key.over(&under.host_key),
            jump: self.jump.over(&under.jump),
            sudo_password: self.sudo_password.over(&under.sudo_password),
            connect_timeout: self.connect_timeout.over(&under.connect_timeout),
            wait: self.wait.over(&under.wait),
        }
    }
}

impl<T: Layer> Layer for Switched<T> {
    /// Merges settings with settings; a switch replaces the default.
    fn over(self, under: &Self) -> Self {
        match (self, under) {
            (Self::Settings(above), Self::Settings(under)) => Self::Settings(above.over(under)),
            (above, _) => above,
        }
    }
}
