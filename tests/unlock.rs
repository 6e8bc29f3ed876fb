//! `deployer unlock` and the lock on OpenTofu's state: the owner is shown, and the lock is removed only with consent.
//! Runs the real binary, without any host or OpenTofu.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use assert_cmd::Command;
use camino::Utf8Path;
use deployer::io::store::Store;
use deployer::model::holder::Holder;

const MANIFEST: &str = "version: 1\nproject: shop\nenvironments:\n  lab:\n    provisioned: { lxd: { image: 'ubuntu:24.04' } }\n    \
                        ssh: { identity: { from_env: KEY } }\n  other:\n    registered: { address: 192.0.2.1 }\n";

fn unlock(directory: &Utf8Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_deployer"))
        .args(["unlock", "lab", "--json"])
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .unwrap();
    // The store was closed, so everything that was written to it is in this one file.
    assert!(!directory.join(".deployer/state.db-wal").exists());
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

async fn lock(directory: &Utf8Path, holder: &Holder) {
    let store = Store::open("sqlite:.deployer/state.db", directory).await.unwrap();
    let created = r#"{"ID":"x","Created":"2026-01-02T03:04:05Z"}"#;
    let line = format!(r#"{{"id":"x","holder":{},"info":{created}}}"#, holder.line());
    assert_eq!(store.lock_state("shop", "lab", &line, None).await.unwrap(), line);
    store.close().await;
}

#[tokio::test]
async fn the_lock_on_the_state_is_freed_with_consent_and_never_taken_from_a_run_that_lives_here() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Utf8Path::from_path(folder.path()).unwrap();
    std::fs::write(directory.join("deployment.yaml"), MANIFEST).unwrap();
    let (code, said) = unlock(directory, &[]);
    assert!(code == 0 && said.contains("lab is not locked"), "{said}");

    let here = Holder::here("me@here", "apply", None);
    let far = Holder { process: "another-machine/1/2".to_owned(), ..Holder::here("eve@far", "apply", None) };
    lock(directory, &far).await;
    let (code, said) = unlock(directory, &[]);
    assert!(code == 6 && said.contains("consent-missing"), "{said}");
    assert!(said.contains("eve@far, pid ") && said.contains("since 2026-01-02T03:04:05Z"), "{said}");
    let (code, said) = unlock(directory, &["--yes"]);
    assert!(code == 0 && said.contains(r#""outcome":"changed""#), "{said}");
    assert!(unlock(directory, &[]).1.contains("lab is not locked"));

    // The owner is this running process.
    lock(directory, &here).await;
    let (code, said) = unlock(directory, &["--yes"]);
    assert!(code == 4 && said.contains("pass --force"), "{said}");
    assert_eq!(unlock(directory, &["--force"]).0, 6, "force is no consent");
    assert_eq!(unlock(directory, &["--force", "--yes"]).0, 0);

    // An entry that was removed from the manifest may have left a lock behind.
    lock(directory, &far).await;
    let without = MANIFEST.replace("  lab:", "  else:");
    std::fs::write(directory.join("deployment.yaml"), without).unwrap();
    assert_eq!(unlock(directory, &["--yes"]).0, 0);
    let (code, said) = unlock(directory, &["--yes"]);
    assert!(code == 64 && said.contains("unknown-environment"), "{said}");
}

#[test]
fn a_backend_of_opentofus_own_frees_its_lock_itself() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Utf8Path::from_path(folder.path()).unwrap();
    let manifest = MANIFEST.replace("'ubuntu:24.04' }", "'ubuntu:24.04' }, backend: { s3: { bucket: b } }");
    std::fs::write(directory.join("deployment.yaml"), manifest).unwrap();
    let (code, said) = unlock(directory, &[]);
    assert!(code == 0 && said.contains("shop--lab with the id that OpenTofu shows: tofu force-unlock ID"), "{said}");
}
