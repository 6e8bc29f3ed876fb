//! The stage of an environment and its view, from recordings of hosts.

#[path = "../common/record.rs"]
mod common;

use crate::given::{Given, given, root};
use deployer::io::store::Record;
use deployer::model::event::EnvironmentView;
use deployer::model::state::{Kind, Stage};
use deployer::reconcile::status;
use deployer::resource::{Observation, files, services};

/// Returns the view of an environment as `status` shows it if every kind differs from the manifest.
fn view(given: &Given) -> EnvironmentView {
    let seen = Observation::of(&given.subject(), given.facts.clone());
    let stage = status::stage(&given.environment, &seen);
    let suspended = given.facts.access.marker.as_ref().is_some_and(|marker| marker.suspended);
    let record = Record { suspended, ..common::record(seen.observed().clone(), stage) };
    status::view(&given.environment, Some(&record), Kind::ALL.to_vec(), Vec::new(), None)
}

#[test]
fn an_environment_that_is_not_on_its_host_has_no_drift() {
    let host = || given(&root().join("converged.txt")).unwrap();
    assert_eq!((view(&host()).stage, view(&host()).drifted.len()), (Stage::Running, Kind::ALL.len()));
    // Docker is installed and runs.
    let mut gone = host();
    (gone.facts.files, gone.facts.services) = (files::Seen::default(), services::Seen::default());
    gone.facts.access.key = None;
    gone.facts.access.marker.as_mut().unwrap().suspended = true;
    let destroyed = view(&gone);
    assert_eq!((destroyed.stage, destroyed.drifted.len(), destroyed.suspended), (Stage::Destroyed, 0, true));
    // It is the same if the manifest declares it as destroyed.
    let mut declared = host();
    (declared.facts.files, declared.facts.services) = (files::Seen::default(), services::Seen::default());
    declared.facts.access.key = None;
    assert_eq!(view(&declared).stage, Stage::Destroyed);
    let mut never = host();
    (never.facts.files, never.facts.services) = (files::Seen::default(), services::Seen::default());
    (never.facts.access.key, never.facts.access.marker) = (None, None);
    let never = view(&never);
    assert_eq!((never.stage, never.drifted.len()), (Stage::Created, 0));
    let mut configured = host();
    (configured.facts.files, configured.facts.services) = (files::Seen::default(), services::Seen::default());
    let configured = view(&configured);
    assert_eq!((configured.stage, configured.drifted.len()), (Stage::Configured, Kind::ALL.len()));
}
