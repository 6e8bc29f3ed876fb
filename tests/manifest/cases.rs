//! The meaning of each valid manifest, and the messages for each invalid one. All wording is in the files of the cases.

use super::{HOME, cases, expect, parse, rendered};
use camino::Utf8Path;
use deployer::manifest;
use deployer::model::failure::Reason;
use std::fmt::Write;
use std::fs;

#[test]
fn invalid_manifests_say_what_is_wrong() {
    let mut wrong = Vec::new();
    for (path, name) in cases("invalid") {
        let failures = manifest::load(&format!("{path}.yaml"), Some(Utf8Path::new(HOME)))
            .expect_err(&format!("{name} is accepted"));
        wrong.extend(expect(&format!("{path}.txt"), &rendered(&failures)).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn valid_manifests_mean_what_they_say() {
    let root = format!("{}/tests/cases/manifest/valid", env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for (path, name) in cases("valid") {
        let manifest = manifest::load(&format!("{path}.yaml"), Some(Utf8Path::new(HOME)))
            .unwrap_or_else(|failures| panic!("{name}: {}", rendered(&failures)));
        let mut text = format!("{:#?}\n", manifest.environments);
        for (place, warning) in &manifest.warnings {
            let place = place.as_ref().map(|at| format!("{}:{}", at.line, at.column)).unwrap_or_default();
            writeln!(text, "warning {place} {warning}").unwrap();
        }
        wrong.extend(expect(&format!("{path}.txt"), &text.replace(&root, "")).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_path_that_is_not_a_file_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let base = Utf8Path::from_path(folder.path()).unwrap();
    let missing = manifest::load(base.join("none.yaml").as_str(), None).unwrap_err();
    assert_eq!(missing[0].reason, Reason::ManifestMissing);
    assert_eq!(missing[0].message(), format!("none.yaml does not exist in {base}"));
    let directory = manifest::load(base.as_str(), None).unwrap_err();
    assert_eq!(directory[0].reason, Reason::ManifestMissing);
    assert_eq!(directory[0].advice(), format!("Name the file: {base}/deployment.yaml"));
}

#[test]
fn a_secret_in_the_manifest_is_shown_nowhere() {
    let text = "version: 1\nproject: shop\nx-password: &p hunter2\nenvironments:\n  a:\n    registered: { address: 'a b' }\n    \
                ssh: { sudo_password: *p }\n";
    let failures = parse(text).unwrap_err();
    let source = failures[0].location.as_ref().and_then(|at| at.source.clone()).unwrap();
    assert!(!source.contains("hunter2") && source.len() == text.len(), "{source}");
}

#[test]
fn the_template_loads_next_to_an_application() {
    let folder = tempfile::tempdir().unwrap();
    let base = Utf8Path::from_path(folder.path()).unwrap();
    fs::create_dir(base.join("app")).unwrap();
    let text = manifest::template("shop");
    assert!(text.starts_with("# yaml-language-server: $schema="));
    let manifest =
        manifest::load_text(&text, "deployment.yaml", base, None).unwrap_or_else(|it| panic!("{}", rendered(&it)));
    assert_eq!(manifest.environments.len(), 1);
    // Every commented-out example is valid, too.
    let shown: String = text
        .lines()
        .map(|line| {
            let example = line.trim_start().strip_prefix("# ").filter(|rest| {
                let key = rest.trim_start_matches(['-', ' ', '{']).split(':').next().unwrap_or_default();
                rest.contains(':') && !key.contains(' ') && key != "yaml-language-server"
            });
            let indent = " ".repeat(line.len() - line.trim_start().len());
            example.map_or(line.to_owned(), |rest| format!("{indent}{rest}")) + "\n"
        })
        .collect();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJhFwGYlbQ1QGAVYdJpRtUoSvIGOvzD8VFUBGJZAjxRk";
    let whole =
        parse(&shown.replace("ssh-ed25519 AAAA…", key)).unwrap_or_else(|it| panic!("{shown}\n{}", rendered(&it)));
    let production = whole.environments.values().next().unwrap();
    assert_eq!((production.checks.len(), production.ssh.port), (2, Some(22)));
}
