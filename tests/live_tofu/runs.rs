//! Runs of OpenTofu without interruptions, and their messages when something is wrong.

use crate::scene::{Scene, holding, only};
use deployer::io::opentofu::{Action, Planned, Purpose};
use deployer::model::failure::Reason;
use deployer::model::holder::Holder;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

const MACHINE: &str = r#"
resource "terraform_data" "machine" {
  input            = "small"
  triggers_replace = "trixie"
}
output "size" { value = terraform_data.machine.output }
"#;

async fn whole_life(scene: &mut Scene) {
    let proposed = scene.plan().await.unwrap();
    assert_eq!(only(&proposed), ("terraform_data.machine", Action::Create));
    assert!(proposed.applicable && !proposed.exists);
    let to = |path: &str| {
        let attribute = proposed.changes[0].attributes.iter().find(|attribute| attribute.path == path);
        attribute.map(|attribute| attribute.to.clone())
    };
    assert_eq!(to("input"), Some(Planned::Known("small".to_owned())));
    assert_eq!(to("output"), Some(Planned::Unknown));
    let outputs = scene.apply(&proposed).await.unwrap();
    assert_eq!(outputs.text("size").as_deref(), Some("small"));
    assert!(!proposed.file.exists(), "a plan that was applied stays on the disk");
    assert!(scene.heard("terraform_data.machine: created"));

    let proposed = scene.plan().await.unwrap();
    assert!(proposed.changes.is_empty() && !proposed.applicable && proposed.exists, "{proposed:#?}");
    assert_eq!(proposed.outputs.text("size").as_deref(), Some("small"));

    scene.write(&MACHINE.replace("small", "large"));
    let (proposed, outputs) = scene.converge().await.unwrap();
    assert_eq!(only(&proposed), ("terraform_data.machine", Action::Update));
    assert_eq!(outputs.text("size").as_deref(), Some("large"));

    scene.write(&MACHINE.replace("small", "large").replace("trixie", "forky"));
    let (proposed, _) = scene.converge().await.unwrap();
    assert_eq!(only(&proposed), ("terraform_data.machine", Action::Replace));
    assert_eq!(proposed.changes[0].because, ["triggers_replace"]);

    let vault = scene.vault().await;
    assert_eq!(vault.forget().await.unwrap_err().reason, Reason::InfrastructureExists);
    let proposed = scene.destroy().await.unwrap();
    assert_eq!(only(&proposed), ("terraform_data.machine", Action::Delete));
    assert!(!vault.exists().await.unwrap());
    assert!(!scene.plan().await.unwrap().exists);
    assert!(vault.forget().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_changes_replaces_and_destroys() {
    whole_life(&mut Scene::new(MACHINE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_of_opentofu_is_left_to_opentofu() {
    let mut scene = Scene::new(MACHINE);
    let backend = "terraform {\n  backend \"local\" { path = \"../elsewhere.tfstate\" }\n}\n";
    scene.files.insert("backend.tf".to_owned(), backend.to_owned());
    let mut work = scene.work().await;
    work.backend = deployer::io::opentofu::Backend::Theirs(scene.vault().await);
    let proposed = work.plan(Purpose::Apply, &scene.say()).await.unwrap();
    assert_eq!(only(&proposed), ("terraform_data.machine", Action::Create));
    let outputs = work.apply(&proposed, &scene.say()).await.unwrap();
    assert_eq!(outputs.text("size").as_deref(), Some("small"));
    assert_eq!(work.outputs(&scene.say()).await.unwrap(), outputs);
    let proposed = work.plan(Purpose::Apply, &scene.say()).await.unwrap();
    assert!(proposed.exists && !proposed.applicable);
    work.discard(&proposed);
    assert!(!proposed.file.exists());
    assert!(scene.root.join("elsewhere.tfstate").exists());
    assert!(!scene.vault().await.exists().await.unwrap());
    // Both at once are refused: a state in the store must not be left behind for another backend.
    scene.files.remove("backend.tf");
    scene.converge().await.unwrap();
    let failure = work.plan(Purpose::Apply, &scene.say()).await.unwrap_err();
    assert_eq!(failure.reason, Reason::StateUnusable, "{failure:?}");
}

/// Runs if Terraform is installed, which `tests/run.sh` reports.
#[tokio::test(flavor = "multi_thread")]
async fn terraform_does_as_well() {
    let mut scene = Scene::new(MACHINE);
    scene.program = Some("terraform".to_owned());
    whole_life(&mut scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_runs_only_when_something_changed() {
    let mut scene = Scene::new(MACHINE);
    let prepared = |scene: &Scene| {
        let mut said = scene.said.lock().unwrap();
        let count = said.iter().filter(|said| said.starts_with("Preparing ")).count();
        said.clear();
        count
    };
    scene.converge().await.unwrap();
    assert_eq!(prepared(&scene), 1);
    scene.plan().await.unwrap();
    assert_eq!(prepared(&scene), 0);
    scene.files.insert("terraform.tfvars.json".to_owned(), "{}".to_owned());
    scene.plan().await.unwrap();
    assert_eq!(prepared(&scene), 0, "values are no matter of init");
    let twice = MACHINE.replace("machine", "second").replace("size", "second_size");
    scene.files.insert("second.tf".to_owned(), twice);
    assert_eq!(scene.plan().await.unwrap().changes.len(), 1);
    assert_eq!(prepared(&scene), 1);
    // Unlisted files are removed, and files that OpenTofu needs are created again.
    scene.files.remove("second.tf");
    std::fs::remove_dir_all(scene.root.join("work/.terraform")).unwrap();
    assert!(scene.plan().await.unwrap().changes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_rests_encrypted_and_private() {
    const MARKER: &str = "zanzibar-4711-marker";
    for passphrase in [Some("correct horse"), None] {
        let mut scene = Scene::new(
            "variable \"token\" {\n  sensitive = true\n}\nresource \"terraform_data\" \"machine\" { input = var.token }\n\
             output \"token\" {\n  value = terraform_data.machine.output\n  sensitive = true\n}\n",
        );
        scene.passphrase = passphrase.map(str::to_owned);
        scene.variables.insert("TF_VAR_token".to_owned(), MARKER.to_owned());
        let (proposed, outputs) = scene.converge().await.unwrap();
        assert!(!format!("{proposed:?} {outputs:?}").contains(MARKER));
        assert_eq!(outputs.text("token").as_deref(), Some(MARKER));
        assert!(outputs.is_sensitive("token") && outputs.shown().next().is_none());
        assert!(!scene.heard(MARKER));
        assert_eq!(holding(&scene.root, MARKER), Vec::<String>::new());
        let mode = |path: &str| std::fs::metadata(scene.root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("work"), 0o700);
        assert_eq!(mode("work/main.tf"), 0o600);
        if passphrase.is_none() {
            assert_eq!(mode("store/state.key"), 0o600);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_reported_before_any_change() {
    let mut scene = Scene::new(MACHINE);
    scene.converge().await.unwrap();
    scene.passphrase = Some("battery staple".to_owned());
    let failure = scene.plan().await.unwrap_err();
    assert_eq!(failure.reason, Reason::StateSealed);
    assert!(failure.advice().contains("state_passphrase"), "{failure:?}");
    scene.passphrase = None;
    let failure = scene.plan().await.unwrap_err();
    assert_eq!(failure.reason, Reason::StateSealed, "{failure:?}");
    // Another environment's state is not accepted for this one.
    scene.passphrase = Some("correct horse".to_owned());
    let store = scene.store().await;
    store
        .rename_infrastructure("shop", "prod", "other", store.sealed("shop", "prod").await.unwrap().state.as_deref())
        .await
        .unwrap();
    let other = deployer::io::opentofu::Vault::open(store.clone(), "shop", "other", scene.passphrase.as_deref());
    assert_eq!(other.read().await.unwrap_err().reason, Reason::StateSealed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_takes_the_state_along() {
    let scene = Scene::new(MACHINE);
    scene.converge().await.unwrap();
    let store = scene.store().await;
    let renamed = deployer::io::opentofu::Vault::open(store, "shop", "production", scene.passphrase.as_deref());
    renamed.take_over("prod").await.unwrap();
    assert!(renamed.exists().await.unwrap());
    assert!(!scene.vault().await.exists().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_runs_lock_is_named() {
    let scene = Scene::new(MACHINE);
    let proposed = scene.plan().await.unwrap();
    let other = Holder { pid: 1, process: "another-machine/1/2".to_owned(), ..Holder::here("eve@far", "apply", None) };
    let lock = format!(r#"{{"id":"x","holder":{},"info":{{"ID":"x"}}}}"#, other.line());
    let vault = scene.vault().await;
    assert_eq!(vault.lock(&lock, None).await.unwrap(), lock);
    let failure = scene.apply(&proposed).await.unwrap_err();
    assert_eq!((failure.reason, failure.reason.exit()), (Reason::StateLocked, 4));
    assert!(failure.message().contains("eve@far"), "{failure}");
    assert!(vault.unlock(&lock).await.unwrap());
    scene.apply(&proposed).await.unwrap();
    assert_eq!(vault.locked().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_are_one_too_many() {
    let scene = Scene::new(
        "resource \"terraform_data\" \"machine\" {\n  provisioner \"local-exec\" { command = \"sleep 3\" }\n}\n",
    );
    let proposed = scene.plan().await.unwrap();
    let (first, second) = tokio::join!(scene.apply(&proposed), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.plan().await
    });
    first.unwrap();
    let failure = second.unwrap_err();
    assert_eq!(failure.reason, Reason::StateLocked);
    assert!(failure.message().contains("tester@here"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_applied_once_and_only_while_it_holds() {
    let mut scene = Scene::new(MACHINE);
    let proposed = scene.plan().await.unwrap();
    let kept = proposed.file.with_file_name("kept");
    std::fs::copy(&proposed.file, &kept).unwrap();
    scene.apply(&proposed).await.unwrap();
    assert_eq!(scene.apply(&proposed).await.unwrap_err().reason, Reason::PlanStale);
    std::fs::copy(&kept, &proposed.file).unwrap();
    assert_eq!(scene.apply(&proposed).await.unwrap_err().reason, Reason::PlanStale);
    scene.write("");
    assert_eq!(only(&scene.plan().await.unwrap()), ("terraform_data.machine", Action::Delete));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_asks_it_to_end() {
    let mut scene = Scene::new(
        "resource \"terraform_data\" \"machine\" {\n  provisioner \"local-exec\" { command = \"exec sleep 60\" }\n}\n",
    );
    let proposed = scene.plan().await.unwrap();
    scene.limit = Duration::from_secs(3);
    let begun = Instant::now();
    let failure = scene.apply(&proposed).await.unwrap_err();
    assert_eq!(failure.reason, Reason::ProvisionTimeout, "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(scene.vault().await.locked().await.unwrap(), None);
    // The interrupted creation is recorded, and the machine is replaced.
    scene.limit = Duration::from_mins(2);
    let proposed = scene.plan().await.unwrap();
    assert_eq!(only(&proposed), ("terraform_data.machine", Action::Replace));
    assert_eq!(proposed.changes[0].because, ["tainted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_it_said() {
    let mut scene = Scene::new("resource \"terraform_data\" \"machine\" {\n  input = var.none\n}\n");
    let failure = scene.plan().await.unwrap_err();
    assert_eq!(failure.reason, Reason::ProvisionFailed);
    assert_eq!(failure.message(), "Reference to undeclared input variable");
    assert!(failure.details.unwrap().contains("on main.tf line 2"));

    scene.write("terraform {\n  required_providers {\n    none = { source = \"nobody/none\", version = \"1.0.0\" }\n  }\n}\nresource \"none_machine\" \"m\" {}\n");
    let failure = scene.plan().await.unwrap_err();
    assert_eq!(failure.message(), "Failed to query available provider packages");
    assert!(failure.advice().contains("mirror"), "{failure:?}");

    scene.variables.insert("TF_VAR_token".to_owned(), "s3cret-in-output".to_owned());
    scene.write(
        "variable \"token\" {}\nresource \"terraform_data\" \"machine\" {\n  provisioner \"local-exec\" { command = \"echo it is ${var.token}; exit 7\" }\n}\n",
    );
    let failure = scene.converge().await.unwrap_err();
    assert!(failure.message().contains("terraform_data.machine: local-exec provisioner error"), "{failure:?}");
    assert!(!format!("{failure:?}").contains("s3cret-in-output"), "{failure:?}");
    assert!(!scene.heard("s3cret-in-output"));
}
