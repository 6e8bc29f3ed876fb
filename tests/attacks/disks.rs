//! Disks of the runner that are full or read-only: each command that writes fails with the same reason, and existing
//! files stay whole.

use std::process::Output;

const MANIFEST: &str = "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: { address: 127.0.0.1 }\n    \
    ssh: { host_key: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"], port: 1, wait: 0s }\n    \
    application: { compose: { directory: ./app } }\n";

/// Runs a script where `$disk` is a separate file system of 256 KiB and `$deployer` is the binary.
fn on_a_disk(script: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().display();
    for path in ["app", "home", "disk"] {
        std::fs::create_dir(directory.path().join(path)).unwrap();
    }
    std::fs::write(directory.path().join("deployment.yaml"), MANIFEST).unwrap();
    std::fs::write(directory.path().join("app/compose.yaml"), "services: { web: { image: demo:1 } }\n").unwrap();
    let script = format!(
        "set -e\ncd {root}\ndisk={root}/disk deployer={}\nHOME={root}/home\nexport HOME\n\
         mount -t tmpfs -o size=256k tmpfs \"$disk\"\n\
         full() {{ head -c 300000 /dev/zero > \"$disk/fill\" 2>/dev/null || :; }}\n{script}",
        env!("CARGO_BIN_EXE_deployer")
    );
    assert_cmd::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .timeout(std::time::Duration::from_mins(1))
        .output()
        .unwrap()
}

/// Returns the reasons of the errors, and the hint of the first one.
fn reasons(output: &Output) -> (Vec<String>, String) {
    let text = String::from_utf8_lossy(&output.stdout);
    let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let errors: Vec<_> = events.filter(|event| event["type"] == "error").collect();
    assert!(!errors.is_empty(), "{output:?}");
    let reason = |error: &serde_json::Value| error["reason"].as_str().unwrap().to_owned();
    (errors.iter().map(reason).collect(), errors[0]["hint"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_full_disk_of_the_runner_is_one_reason() {
    for command in [
        "apply --json --state sqlite:$disk/state.db",
        "destroy web --allow-destroy web --json --state sqlite:$disk/state.db",
        "suspend web --json --state sqlite:$disk/new/state.db",
        "render web --json -o $disk/out",
        "init --json -f $disk/deployment.yaml",
    ] {
        let output = on_a_disk(&format!("full\n\"$deployer\" {command}\n"));
        let (reasons, hint) = reasons(&output);
        assert_eq!(reasons[0], "disk-full", "{command}: {output:?}");
        assert!(hint.contains("/disk"), "{command}: {hint}");
    }
}

#[test]
fn a_store_reports_a_full_or_read_only_disk_and_is_whole_afterwards() {
    let made = "\"$deployer\" apply --json --state sqlite:$disk/state.db > made || :\n[ -s \"$disk/state.db\" ]\n";
    let full = on_a_disk(&format!("{made}full\n\"$deployer\" apply --json --state sqlite:$disk/state.db\n"));
    assert_eq!(reasons(&full).0[0], "disk-full", "{full:?}");
    let again = on_a_disk(&format!(
        "{made}full\n\"$deployer\" apply --json --state sqlite:$disk/state.db >/dev/null || :\nrm \"$disk/fill\"\n\
         \"$deployer\" apply --json --state sqlite:$disk/state.db\n"
    ));
    assert_eq!(reasons(&again).0[0], "connection-refused", "{again:?}");
    let read_only = on_a_disk(&format!(
        "{made}mount -o remount,ro \"$disk\"\n\"$deployer\" apply --json --state sqlite:$disk/state.db\n"
    ));
    assert_eq!(reasons(&read_only).0[0], "read-only", "{read_only:?}");
}
