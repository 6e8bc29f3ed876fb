//! Converts the merged sections of one environment into the engine's types. Does not look at other environments.

use super::provisioned::{self, Around};
use super::scalars::{duration, switch, whole};
use super::{Placed, Reading, address, application, checks, configure, drift, engine, firewall, shown, ssh};
use crate::manifest::environment::{
    Backup, Environment, FirewallWish, Health, Name, Protocol, Rollback, SecurityUpdates, Source,
};
use crate::manifest::layer::Layer;
use crate::manifest::provision::Login;
use crate::manifest::spec::{EnvironmentSpec, HealthSpec, RegisteredSpec, Whole};
use crate::manifest::written::{Given, Spot, Written};
use crate::model::state::Stage;
use std::collections::BTreeSet;
use std::time::Duration;

/// Reads the environment `name`, whose name is at `key`.
pub fn read(
    name: Name,
    key: &Written<String>,
    project: &Name,
    body: EnvironmentSpec,
    defaults: &EnvironmentSpec,
    reading: &mut Reading<'_>,
) -> Placed {
    let spec = body.over(defaults);
    let renamed_from = renamed_from(&spec.renamed_from, reading);
    let identity = format!("{project}--{}", renamed_from.as_ref().unwrap_or(&name));
    let (own_project, own_directory) = spec.application.or_default().placement();
    let depends_on = spec.depends_on.or_default();
    let host = spec.configure.or_default();
    let ssh = ssh::read(&spec.ssh.or_default(), reading);
    let application = spec.application.0.as_ref().and_then(|it| application::read(it, &identity, reading));
    let firewall = firewall::read(&host.firewall, reading.report);
    let mut environment = Environment {
        address: String::new(),
        provision: None,
        ssh,
        public_addresses: (spec.public_addresses.value().into_iter().flatten())
            .filter_map(|written| address::public(written, reading.report))
            .collect(),
        engine: engine::read(&host.engine.or_default(), reading),
        security_updates: configure::security_updates(&host.security_updates, reading.report),
        scripts: configure::scripts(&host.scripts, reading),
        schedules: configure::schedules(&host.schedules, reading.report),
        firewall,
        application,
        checks: checks::read(&spec.checks, reading.report),
        stage: spec.stage.value().copied().unwrap_or(Stage::Running),
        health: health(&spec.health.or_default(), reading),
        protect: spec.protect.0.is_some().then(|| switch(&spec.protect, true, "protect", reading.report)),
        renamed_from,
        orphaned: false,
        rollback: spec.rollback.value().copied().unwrap_or(Rollback::OnFailure),
        keep_releases: keep_releases(&spec.keep_releases, reading),
        depends_on: depends_on.iter().filter_map(|written| Name::parse(&written.value).ok()).collect(),
        drift: drift::read(&spec.drift.or_default(), reading.report),
        project: project.clone(),
        name,
    };
    machine(&spec, &identity, key.spot, &mut environment, reading);
    if environment.application.as_ref().is_some_and(|application| application.backup.is_some()) {
        configure::reserve(Backup::SCHEDULE, &host.schedules, reading.report);
    }
    Placed {
        environment,
        key: key.spot,
        depends_on,
        project: own_project.spot_or(key.spot),
        host_directory: own_directory.spot_or(key.spot),
        security_updates: host.security_updates.spot_or(key.spot),
    }
}

/// The fault of a machine to make without a key.
pub const NEEDS_KEY: &str = "A machine that deployer makes needs an SSH key";

/// Reads the host: an existing one, or a machine to make, which gets deployer's defaults instead of an owner's.
fn machine(
    spec: &EnvironmentSpec,
    identity: &str,
    key: Spot,
    environment: &mut Environment,
    reading: &mut Reading<'_>,
) {
    match (&spec.registered.0, &spec.provisioned.0) {
        (Some(registered), None) => environment.address = registered_address(registered, reading),
        (None, Some(provisioned)) => {
            let configure = spec.configure.or_default();
            if configure.firewall.0.is_none() {
                environment.firewall = Some(FirewallWish::default());
            }
            if configure.security_updates.0.is_none() {
                environment.security_updates = Some(SecurityUpdates { reboot_at: None });
            }
            if spec.ssh.or_default().wait.0.is_none() {
                environment.ssh.wait = Duration::from_mins(5);
            }
            environment.ssh.user.get_or_insert_with(|| "deploy".to_owned());
            if environment.ssh.identity.is_none() {
                let hint = "Add `ssh: { identity_file: ~/.ssh/id_ed25519 }`, or `identity` in CI";
                reading.report.fault(key, NEEDS_KEY, hint);
            }
            if identity.len() > 63 {
                let message = format!("`{identity}` is too long for a machine's name: {} characters", identity.len());
                reading.report.fault(
                    key,
                    message,
                    "The names of the project and the environment may have 61 characters together",
                );
            }
            let passphrase = reading.passphrase.clone();
            let login = Login { user: environment.ssh.user.clone(), port: environment.ssh.port };
            let firewall = environment.firewall.as_ref();
            let around = Around { firewall, ports: ports(environment), passphrase, login };
            environment.provision = provisioned::read(provisioned, around, reading).map(Box::new);
        }
        (Some(_), Some(provisioned)) => {
            let message = "The environment is both `registered` and `provisioned`";
            reading.report.fault(provisioned.spot, message, "Keep `registered` if the host exists");
        }
        (None, None) => {
            let hint = "Add `registered: { address: HOST }`, or `provisioned` for a machine that deployer makes";
            reading.report.fault(key, "The environment has no host", hint);
        }
    }
}

/// Returns the ports that everybody may reach: SSH, and the published ports of a tracker.
fn ports(environment: &Environment) -> BTreeSet<(Protocol, u16)> {
    let taken = match environment.application.as_ref().map(|application| &application.source) {
        Some(Source::Tracker(tracker)) => tracker.ports(),
        _ => Vec::new(),
    };
    let public = taken.iter().filter(|port| port.bind.is_none_or(|bind| !bind.is_loopback()));
    let ssh = (Protocol::Tcp, environment.ssh.port.unwrap_or(22));
    public.map(|port| (port.protocol, port.port)).chain([ssh]).collect()
}

fn registered_address(registered: &Written<RegisteredSpec>, reading: &mut Reading<'_>) -> String {
    let Some(address) = &registered.value.address.0 else {
        let hint = "Add `address: HOST`: a DNS name, an IPv4 or an IPv6 address";
        reading.report.fault(registered.spot, "`registered` has no address", hint);
        return String::new();
    };
    address::host(address, reading.report);
    address.value.clone()
}

fn health(spec: &HealthSpec, reading: &mut Reading<'_>) -> Health {
    let timeout = duration(&spec.timeout, Duration::from_mins(3), false, "timeout", reading.report);
    let stable_for = duration(&spec.stable_for, Duration::from_secs(2), true, "stable_for", reading.report);
    if let (true, Some(written)) = (stable_for >= timeout, spec.stable_for.0.as_ref().or(spec.timeout.0.as_ref())) {
        let hint = "Make `health.timeout` longer than `health.stable_for`";
        reading.report.fault(written.spot, "No service can be stable for that long within the timeout", hint);
    }
    let smoke = switch(&spec.smoke, false, "smoke", reading.report);
    Health { timeout, stable_for, smoke }
}

fn renamed_from(given: &Given<String>, reading: &mut Reading<'_>) -> Option<Name> {
    let written = given.0.as_ref()?;
    match Name::parse(&written.value) {
        Ok(name) => Some(name),
        Err(rule) => {
            let message = format!("`{}` is not a valid name of an environment", shown(&written.value));
            reading.report.fault(written.spot, message, rule);
            None
        }
    }
}

fn keep_releases(given: &Given<Whole>, reading: &mut Reading<'_>) -> usize {
    const DEFAULT: usize = 5;
    let Some(written) = &given.0 else { return DEFAULT };
    let Some(number) = whole(written, "keep_releases", reading.report) else { return DEFAULT };
    if let Ok(kept @ 1..=100) = usize::try_from(number) {
        return kept;
    }
    let message = format!("{number} releases cannot be kept");
    reading.report.fault(written.spot, message, "Write a number from 1 to 100");
    DEFAULT
}
