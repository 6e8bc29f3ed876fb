//! A commit cannot bring files for OpenTofu's working directory: plugins, a state that an interrupted run left,
//! settings.

use crate::unshown_plan::folder;
use camino::Utf8Path;
use std::fs;
use std::process::Command;

/// OpenTofu that lists its directory.
const TOFU: &str = r#"#!/bin/sh
case $1 in
  version) echo '{"terraform_version": "1.10.0"}' ;;
  *) { echo "in $PWD"; ls -A; } >>"$calls"; exit 1 ;;
esac
"#;
const S3: &str = "hetzner: { server_type: cx22, location: nbg1 }\n      backend: { s3: { bucket: b } }";

/// Returns the directory that OpenTofu ran in with its files, and what `deployer plan` printed.
fn plan(folder: &Utf8Path) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
    command.args(["plan", "lab", "--tofu", folder.join("tofu").as_str()]).current_dir(folder);
    let output = command.env_remove("CI").output().unwrap();
    let calls = fs::read_to_string(folder.join("calls")).unwrap_or_default();
    let _ = fs::remove_file(folder.join("calls"));
    (calls, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn files_that_a_commit_brings_for_opentofu_are_not_in_its_directory() {
    let (_held, folder) = folder(S3, TOFU);
    let former = folder.join(".deployer/tofu/shop--lab");
    for name in ["terraform.d/plugins/x", ".terraform/providers/x", ".terraform.lock.hcl", "terraform.tfstate"] {
        fs::create_dir_all(former.join(name).parent().unwrap()).unwrap();
        fs::write(former.join(name), "planted").unwrap();
    }
    let (calls, said) = plan(&folder);
    let first = calls.lines().next().unwrap_or_else(|| panic!("OpenTofu did not run: {said}")).to_owned();
    assert!(first.starts_with(&format!("in {former}.")), "{calls}");
    assert!(!calls.contains("terraform.d") && !calls.contains(".tfstate") && !calls.contains(".lock.hcl"), "{calls}");
    assert!(calls.contains("main.tf"), "{calls}");
    let (again, _) = plan(&folder);
    assert_eq!(again.lines().next(), Some(first.as_str()), "the next run continues there");

    // The same checkout with another store: nobody can know the name in advance.
    fs::remove_file(folder.join(".deployer/state.db")).unwrap();
    let (other, _) = plan(&folder);
    assert_ne!(other.lines().next(), Some(first.as_str()));
}

#[test]
fn a_state_in_the_directory_of_a_former_version_is_neither_used_nor_ignored() {
    let (_held, folder) = folder("hetzner: { server_type: cx22, location: nbg1 }", TOFU);
    let former = folder.join(".deployer/tofu/shop--lab");
    fs::create_dir_all(&former).unwrap();
    fs::write(former.join("errored.tfstate"), "no state").unwrap();
    let (calls, said) = plan(&folder);
    assert!(calls.is_empty(), "{calls}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, hint) = said.split_once("continue with it: mv ").unwrap_or_else(|| panic!("{said}"));
    let (from, to) = hint.split_once(". ").unwrap().0.split_once(' ').unwrap();
    assert_eq!(from, former);
    fs::rename(from, to).unwrap();
    // The state is read there, and refused because it is none.
    let (calls, said) = plan(&folder);
    assert!(calls.is_empty() && !said.contains("continue with it"), "{calls}{said}");
    fs::remove_file(format!("{to}/errored.tfstate")).unwrap();
    assert!(plan(&folder).0.starts_with(&format!("in {to}\n")));
}
