//! OpenTofu plans again after an apply that left something to do. A change that was not shown is not applied.

use camino::Utf8PathBuf;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use tempfile::TempDir;

/// OpenTofu, whose second plan deletes a disk. `apply` behaves like `$1`.
const TOFU: &str = r#"#!/bin/sh
echo "$1" >>"$calls"
case $1 in
  version) echo '{"terraform_version": "1.10.0"}' ;;
  plan) exit 2 ;;
  show)
    [ "$(grep -c plan "$calls")" = 1 ] && of="lxd_instance machine create" || of="lxd_volume data delete"
    set -- $of
    printf '{"resource_changes": [{"address": "%s.%s", "mode": "managed", "type": "%s", "name": "%s", ' $1 $2 $1 $2
    printf '"change": {"actions": ["%s"], "before": null, "after": {}}}]}' $3
    ;;
  apply) APPLY ;;
  output) echo '{}' ;;
esac
"#;

/// The failure of LXD while it finishes the operation of a killed run.
const BUSY: &str = r#"
    echo '{"type": "diagnostic", "diagnostic": {"severity": "error", "summary": "x", "detail": "Instance is busy running a start operation"}}'
    exit 1"#;

/// Returns a directory with a manifest and a program `tofu`. `$calls` in its text is a file in the directory.
pub fn folder(machine: &str, tofu: &str) -> (TempDir, Utf8PathBuf) {
    let held = tempfile::Builder::new().prefix("attack").tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(held.path().canonicalize().unwrap()).unwrap();
    let path = |name: &str| folder.join(name);
    let manifest = format!(
        "version: 1\nproject: shop\nenvironments:\n  lab:\n    provisioned:\n      {machine}\n    \
         ssh: {{ identity_file: ./key, wait: 3s }}\n"
    );
    let tofu = tofu.replace("$calls", path("calls").as_str());
    for (name, text) in [("deployment.yaml", manifest.as_str()), ("tofu", &tofu), ("key", ""), ("infra/main.tf", "")] {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::write(path(name), text).unwrap();
    }
    fs::write(path("key.pub"), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHb1 me\n").unwrap();
    fs::set_permissions(path("tofu"), fs::Permissions::from_mode(0o755)).unwrap();
    (held, folder)
}

/// Returns the calls of OpenTofu by `deployer apply`, and what that printed.
fn apply(machine: &str, does: &str) -> (Vec<String>, String) {
    let machine = format!("{machine}\n      backend: {{ s3: {{ bucket: b }} }}");
    let (_held, folder) = folder(&machine, &TOFU.replace("APPLY", does));
    let path = |name: &str| folder.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
    command.args(["apply", "lab", "--yes", "--tofu", path("tofu").as_str()]).current_dir(&folder);
    let output = command.env_remove("CI").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let calls = fs::read_to_string(path("calls")).unwrap_or_default();
    (calls.lines().map(str::to_owned).collect(), said)
}

#[test]
fn a_plan_that_was_not_shown_is_not_applied() {
    for (machine, does) in [("module: { source: ./infra }", ":"), ("lxd: { image: 'ubuntu:24.04' }", BUSY)] {
        let (calls, said) = apply(machine, does);
        let count = |call: &str| calls.iter().filter(|other| *other == call).count();
        assert_eq!((count("plan"), count("apply")), (2, 1), "{machine}: {calls:?}\n{said}");
        assert!(said.contains("a change of lxd_volume.data that was not shown"), "{machine}:\n{said}");
    }
}

/// OpenTofu that plans one new machine, whatever the state.
const NEW: &str = r#"#!/bin/sh
echo "$1" >>"$calls"
case $1 in
  version) echo '{"terraform_version": "1.10.0"}' ;;
  plan) exit 2 ;;
  show)
    echo '{"resource_changes": [{"address": "lxd_instance.machine", "mode": "managed", "type": "lxd_instance", "name": "machine",
      "change": {"actions": ["create"], "before": null, "after": {}}}]}' ;;
  apply) echo applied >>"$calls"; exit 1 ;;
  output) echo '{}' ;;
esac
"#;

#[test]
fn a_saved_plan_of_a_new_machine_is_applied_if_nothing_changed() {
    for machine in ["module: { source: ./infra }", "lxd: { image: 'ubuntu:24.04' }"] {
        let (_held, folder) = folder(machine, NEW);
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
            command.args(arguments).args(["--tofu", folder.join("tofu").as_str()]).current_dir(&folder);
            let output = command.env_remove("CI").output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
        };
        let planned = run(&["plan", "--out", "./p.plan"]);
        let said = run(&["apply", "./p.plan", "--yes"]);
        let calls = fs::read_to_string(folder.join("calls")).unwrap();
        assert!(calls.contains("applied") && !said.contains("stale"), "{machine}: {planned}{said}");
    }
}
