//! Import of a predecessor's environment as an entry of the manifest. Each file of `tests/cases/import` is one case.
//! The output shows none of its secrets.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use deployer::manifest;
use deployer::manifest::edit::{self, Entry, Place};
use deployer::manifest::environment::{Name, Source};
use deployer::manifest::torrust::{self, Wish};
use std::fs;

fn read(case: &str) -> String {
    fs::read_to_string(format!("{}/tests/cases/import/{case}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Returns the manifest that an import writes, and its messages.
fn imported(case: &str, wish: Wish<'_>) -> String {
    let found = torrust::read(&read(case), wish).unwrap();
    let entry = Entry {
        remarks: torrust::remarks(found.like_it.as_ref()),
        place: found.place,
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
    insta::assert_snapshot!("full", imported("full", Wish::Host("203.0.113.7")));
    insta::assert_snapshot!("state", imported("state", Wish::AsWritten));
}

#[test]
fn one_without_a_machine_becomes_an_entry_that_makes_one_with_the_same_provider() {
    insta::assert_snapshot!("full-provisioned", imported("full", Wish::Provisioned));
    insta::assert_snapshot!("created", imported("created", Wish::AsWritten));
}

#[test]
fn a_machine_that_may_be_there_is_never_made_again() {
    let refused = |case: &str, wish| torrust::read(&read(case), wish).unwrap_err().why;
    assert!(refused("state", Wish::Provisioned).contains("a second one"));
    assert_eq!(refused("full", Wish::AsWritten), "it does not say whether its machine exists");
    let begun = read("created").replace("\"Created\"", "\"ProvisionFailed\"");
    for wish in [Wish::AsWritten, Wish::Provisioned] {
        let why = torrust::read(&begun, wish).unwrap_err().why;
        assert!(why.contains("began to make its machine"), "{why}");
    }
    let destroyed = read("state").replace("\"Running\"", "\"Destroyed\"");
    assert!(matches!(torrust::read(&destroyed, Wish::AsWritten).unwrap().place, Place::Provisioned(_)));
    let unknown = read("full").replace("\"hetzner\"", "\"other\"");
    assert!(torrust::read(&unknown, Wish::Provisioned).unwrap_err().why.contains("neither lxd nor hetzner"));
}

#[test]
fn a_file_that_is_not_an_environment_is_refused() {
    assert!(torrust::read("not json", Wish::AsWritten).unwrap_err().why.starts_with("it is not JSON"));
    assert_eq!(
        torrust::read("{}", Wish::AsWritten).unwrap_err().why,
        "it contains no tracker section with a core section"
    );
}
