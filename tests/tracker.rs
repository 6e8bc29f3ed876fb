//! Every example of a tracker is valid, and its render equals the snapshot in `tests/snapshots`. Needs no host.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use deployer::manifest;
use deployer::model::secret::Variable;
use deployer::release;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Returns a secret that breaks every file that does not quote it.
fn value(name: &str) -> Variable {
    let text = match name {
        "TRACKER_API_TOKEN" => "to\"k$en&x=1",
        "TRACKER_DATABASE_PASSWORD" => "p@ss:w/ord#%",
        _ => "it's \\ a 'secret'",
    };
    Variable { value: Some(text.to_owned().into()), secret: true }
}

/// Returns all files that would be sent, as one text.
fn render(environment: &manifest::environment::Environment) -> String {
    let application = environment.application.as_ref().unwrap();
    let values: BTreeMap<String, Variable> =
        application.variables.keys().map(|name| (name.clone(), value(name))).collect();
    let release = release::load(application, &values, &deployer::model::secret::Redactor::default()).unwrap();
    let mut text = format!("compose files: {:?}\n", release.compose_files);
    for (path, owner) in &release.directories {
        writeln!(text, "directory {path} of {owner:?}").unwrap();
    }
    for (path, file) in &release.files {
        let bytes = file.read(1 << 20).unwrap();
        writeln!(text, "---- {path} {:o}{}", file.mode, if file.secret { " secret" } else { "" }).unwrap();
        // The dashboards and the functions for shells are separate files of this repository.
        if path.extension() != Some("json") && !matches!(path.file_name(), Some("guard.sh" | "mounted.sh")) {
            text += std::str::from_utf8(&bytes).unwrap();
        }
    }
    text
}

#[test]
fn every_example_is_valid_and_renders_as_it_did() {
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tracker")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let path = path.to_str().unwrap().to_owned();
        let manifest = manifest::load(&path, None).unwrap_or_else(|failures| panic!("{path}: {failures:?}"));
        let stem = path.rsplit('/').next().unwrap().trim_end_matches(".yaml").to_owned();
        for (name, environment) in &manifest.environments {
            insta::assert_snapshot!(format!("{stem}-{name}"), render(environment));
            count += 1;
        }
    }
    assert!(count >= 8, "{count} examples");
}

#[test]
fn the_smallest_manifest_has_under_fifteen_lines() {
    let text = include_str!("../examples/tracker/minimal.yaml");
    assert!(text.lines().filter(|line| !line.starts_with('#')).count() < 15);
}

#[test]
fn a_template_next_to_the_manifest_replaces_ours_and_others_are_laid_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    let own = base.join("templates/tracker");
    std::fs::create_dir_all(own.join("tracker/etc")).unwrap();
    std::fs::create_dir_all(own.join("grafana")).unwrap();
    let manifest = base.join("deployment.yaml");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tracker/minimal.yaml"), &manifest).unwrap();
    std::fs::write(own.join("tracker/etc/tracker.toml.tera"), "log = {{ log | quote }}\n").unwrap();
    std::fs::write(own.join("compose.override.yaml"), "services: {}\n").unwrap();
    std::fs::write(own.join("grafana/unused.txt"), "there is no Grafana").unwrap();
    let load = || manifest::load(manifest.to_str().unwrap(), None).unwrap();
    let text = render(load().environments.values().next().unwrap());
    assert!(text.starts_with("compose files: [\"compose.yaml\", \"compose.override.yaml\"]\n"), "{text}");
    assert!(text.contains("---- storage/tracker/etc/tracker.toml 644\nlog = \"info\"\n"), "{text}");
    assert!(!text.contains("unused.txt"), "{text}");
    std::fs::write(own.join("tracker/etc/tracker.toml.tera"), "{{ nothing }}\n").unwrap();
    let environments = load().environments;
    let application = environments.values().next().unwrap().application.as_ref().unwrap();
    let failures =
        release::load(application, &BTreeMap::new(), &deployer::model::secret::Redactor::default()).unwrap_err();
    assert!(failures[0].message().contains("tracker.toml.tera does not render: variable `nothing`"), "{failures:?}");
    assert!(failures[0].advice().starts_with("Templates see the application's section"), "{failures:?}");
}
