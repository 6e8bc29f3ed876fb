//! From a predecessor's environment to an entry of the manifest: one file of `tests/cases/import` a case. Never shows a
//! secret of it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use deployer::import;
use deployer::manifest;
use deployer::manifest::edit::{self, Entry, Place};
use deployer::manifest::environment::{Name, Source};
use std::fs;

/// The manifest that an import writes, and what it says.
fn imported(case: &str) -> String {
    let path = format!("{}/tests/cases/import/{case}.json", env!("CARGO_MANIFEST_DIR"));
    let found = import::read(&fs::read_to_string(path).unwrap()).unwrap();
    let entry = Entry {
        place: Place::Registered("203.0.113.7".to_owned()),
        port: found.port,
        user: found.user,
        identity_file: found.identity_file,
        host_key: Vec::new(),
        application: Some(found.application),
    };
    let start = "version: 1\nproject: torrust\n\nenvironments:\n";
    let name = Name::parse(&found.name).unwrap();
    let text = edit::add(start, "deployment.yaml", &name, &entry).unwrap();
    let notes: String = found.notes.iter().fold(String::new(), |text, note| text + "- " + note + "\n");
    let manifest = manifest::parse(&text, "deployment.yaml", "/work".into(), Some("/home/me".into()));
    let manifest = manifest.unwrap_or_else(|failures| panic!("{failures:?}\n{text}"));
    let environment = manifest.environments.values().next().unwrap();
    let application = environment.application.as_ref().unwrap();
    let Source::Tracker(tracker) = &application.source else { panic!("no tracker") };
    let ports: String = tracker
        .ports()
        .iter()
        .fold(String::new(), |text, taken| text + &format!("{}/{} {}\n", taken.port, taken.protocol.name(), taken.by));
    let all = format!("{text}\n{notes}\n{ports}");
    assert!(!all.contains("-secret"), "{all}");
    all
}

#[test]
fn a_predecessors_environment_becomes_an_entry_with_the_same_services_ports_and_settings() {
    insta::assert_snapshot!("full", imported("full"));
    insta::assert_snapshot!("state", imported("state"));
}

#[test]
fn what_is_no_environment_says_so() {
    assert!(import::read("not json").unwrap_err().starts_with("it is not JSON"));
    assert_eq!(import::read("{}").unwrap_err(), "it holds no tracker section with a core section in it");
}
