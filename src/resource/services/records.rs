//! Services of the release that must run, as records.

use crate::resource::contract::record::ServiceRecord;
use crate::resource::files::Staged;
use crate::resource::files::value::key;
use crate::resource::images::build;
use crate::resource::{HostFacts, Subject};
use camino::Utf8Path;
use std::collections::BTreeMap;

/// Returns the services of the staged release or, if there is none, of the live one.
#[must_use]
pub fn of(subject: &Subject<'_>, host: &HostFacts) -> BTreeMap<String, ServiceRecord> {
    let live = || host.files.begun().next().map(|record| record.services.clone()).unwrap_or_default();
    host.files.staged.as_ref().map_or_else(live, |staged| of_staged(subject, host, staged))
}

pub(super) fn of_staged(subject: &Subject<'_>, host: &HostFacts, staged: &Staged) -> BTreeMap<String, ServiceRecord> {
    let record = &staged.record;
    let keyed = |digest| key(subject, host).digest(&digest);
    let variable = |name: &str| subject.release.and_then(|release| release.variable(name));
    let directory = Utf8Path::new(&record.directory);
    let mut records = staged.model.records(directory, &record.files.keys(), &variable, &keyed);
    build::mark(subject, host, staged, &mut records);
    mark_before(subject, &mut records);
    // The containers are connected with the network that the live release made again.
    for live in host.files.begun().next().into_iter().flat_map(|live| &live.services) {
        if let Some(record) = records.get_mut(live.0) {
            record.renewed.clone_from(&live.1.renewed);
        }
    }
    records
}

/// Marks the services that the manifest lists. These services have no container once the release runs.
fn mark_before(subject: &Subject<'_>, records: &mut BTreeMap<String, ServiceRecord>) {
    for name in listed(subject) {
        if let Some(record) = records.get_mut(name) {
            record.before = true;
            record.replicas = 0;
            record.ports.clear();
        }
    }
}

/// Returns the services that the manifest lists to run before the switch.
pub(super) fn listed<'a>(subject: &Subject<'a>) -> &'a [String] {
    subject.environment.application.as_ref().map_or(&[], |application| &application.before)
}
