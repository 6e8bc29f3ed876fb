//! Rules of the `application.tracker` section. Renders no template.

mod backup;
mod backup_schedule;
mod database;
mod endpoint;
mod services;
mod together;

pub use backup::read as backup;

use super::scalars::{duration, image_name, switch};
use super::{Reading, shown, values};
use crate::manifest::spec::{AnnounceSpec, TrackerSpec, ValueSpec};
use crate::manifest::suggest;
use crate::manifest::tracker::{API_TOKEN, IMAGES, LogLevel, Tracker};
use crate::manifest::written::{Given, Written};
use crate::model::secret::SecretSource;
use std::collections::BTreeMap;
use std::time::Duration;

/// Secrets by the name of their variable.
type Secrets = BTreeMap<String, SecretSource>;

/// Reads the section, and the secrets that it names.
pub fn read(written: &Written<TrackerSpec>, reading: &mut Reading<'_>) -> (Tracker, Secrets) {
    let spec = &written.value;
    let mut secrets = Secrets::new();
    let (announce_interval, announce_minimum) = announce(&spec.announce.or_default(), reading);
    let tracker = Tracker {
        private: switch(&spec.private, false, "private", reading.report),
        listed: switch(&spec.listed, false, "listed", reading.report),
        database: database::read(&spec.database, &mut secrets, reading),
        udp: endpoint::udp(&spec.udp, reading.report),
        http: endpoint::http(&spec.http, reading.report),
        api: spec.api.0.as_ref().map(|api| {
            secret("api.token", API_TOKEN, &api.value.token, api, &mut secrets, reading);
            endpoint::api(&api.value, api.spot, reading.report)
        }),
        health_api: endpoint::health_api(&spec.health_api, written.spot, reading.report),
        announce_interval,
        announce_minimum,
        persistent_completed: switch(&spec.persistent_completed, false, "persistent_completed", reading.report),
        log: spec.log.value().copied().unwrap_or(LogLevel::Info),
        prometheus: spec.prometheus.value().map(|prometheus| services::prometheus(prometheus, reading.report)),
        grafana: spec.grafana.0.as_ref().map(|grafana| services::grafana(grafana, &mut secrets, reading)),
        tls: spec.tls.value().map(|tls| services::tls(tls, reading)),
        ipv6: switch(&spec.ipv6, true, "ipv6", reading.report),
        images: images(&spec.images, reading),
        templates: reading.base.join("templates/tracker"),
    };
    together::check(spec, &tracker, written.spot, reading.report);
    (tracker, secrets)
}

/// Reads a secret that a section needs.
fn secret<T>(
    key: &str,
    variable: &str,
    given: &Given<ValueSpec>,
    section: &Written<T>,
    secrets: &mut Secrets,
    reading: &mut Reading<'_>,
) {
    let Some(written) = &given.0 else {
        let name = key.rsplit('.').next().unwrap_or(key);
        let hint = format!("Add `{name}: {{ from_env: NAME }}`");
        reading.report.fault(section.spot, format!("`{key}` is missing"), hint);
        return;
    };
    secrets.insert(variable.to_owned(), values::secret(key, written, reading));
}

fn announce(spec: &AnnounceSpec, reading: &mut Reading<'_>) -> (u64, u64) {
    const DEFAULT: Duration = Duration::from_mins(2);
    let interval = duration(&spec.interval, DEFAULT, false, "interval", reading.report);
    let minimum = duration(&spec.minimum, interval.min(DEFAULT), false, "minimum", reading.report);
    if let (true, Some(written)) = (minimum > interval, spec.minimum.0.as_ref().or(spec.interval.0.as_ref())) {
        let message = "`announce.minimum` is longer than `announce.interval`";
        reading.report.fault(written.spot, message, "Make it at most `announce.interval`");
    }
    for (length, given) in [(interval, &spec.interval), (minimum, &spec.minimum)] {
        if let Some(written) = given.0.as_ref().filter(|_| length.subsec_nanos() != 0) {
            reading.report.fault(written.spot, "Trackers count in whole seconds", "Write it in seconds: 120s");
        }
    }
    (interval.as_secs(), minimum.as_secs())
}

fn images(
    given: &Given<BTreeMap<Written<String>, Written<String>>>,
    reading: &mut Reading<'_>,
) -> BTreeMap<String, String> {
    let mut images: BTreeMap<String, String> =
        IMAGES.into_iter().map(|(role, image)| (role.to_owned(), image.to_owned())).collect();
    for (role, image) in given.value().into_iter().flatten() {
        if !images.contains_key(&role.value) {
            let roles: Vec<&str> = IMAGES.iter().map(|(role, _)| *role).collect();
            let message = format!("The stack has no service `{}`", shown(&role.value));
            reading.report.fault(role.spot, message, suggest::hint(&role.value, &roles, "services"));
        } else if image_name(image, reading.report) {
            images.insert(role.value.clone(), image.value.clone());
        }
    }
    images
}
