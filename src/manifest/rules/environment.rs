//! One environment: its sections, merged with the defaults, become what the engine works with. Never
//! looks at another environment.

use super::scalars::{duration, switch, whole};
use super::{
    Placed, Reading, address, application, capitalised, checks, configure, drift, engine, firewall, shown, ssh,
};
use crate::manifest::environment::{Backup, Environment, Health, Name, Rollback};
use crate::manifest::layer::Layer;
use crate::manifest::spec::{EnvironmentSpec, HealthSpec, Whole};
use crate::manifest::written::{Given, Spot, Written};
use crate::state::Stage;
use std::time::Duration;

/// Reads the environment `name`, written at `key`.
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
    let environment = Environment {
        address: target(&spec, key.spot, reading),
        ssh: ssh::read(&spec.ssh.or_default(), reading),
        public_addresses: (spec.public_addresses.value().into_iter().flatten())
            .filter_map(|written| address::public(written, reading.report))
            .collect(),
        engine: engine::read(&host.engine.or_default(), reading),
        security_updates: configure::security_updates(&host.security_updates, reading.report),
        scripts: configure::scripts(&host.scripts, reading),
        schedules: configure::schedules(&host.schedules, reading.report),
        firewall: firewall::read(&host.firewall, reading.report),
        application: spec.application.0.as_ref().and_then(|it| application::read(it, &identity, reading)),
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

fn target(spec: &EnvironmentSpec, key: Spot, reading: &mut Reading<'_>) -> String {
    let Some(registered) = &spec.registered.0 else {
        let hint = "Add `registered: { address: HOST }`";
        reading.report.fault(key, "The environment has no host", hint);
        return String::new();
    };
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
            let message = format!("`{}` was no environment's name", shown(&written.value));
            reading.report.fault(written.spot, message, capitalised(&rule));
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
