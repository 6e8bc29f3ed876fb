//! A run that is killed: its OpenTofu continues, and the next run waits for OpenTofu, takes over its state and creates
//! nothing twice.

use crate::hetzner::{self, MACHINE};
use crate::hetzner_api::{Api, Fault};
use crate::scene::{Scene, holding};
use camino::Utf8PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The variable with the directory of the run to kill, which is set for that run only.
const ROOT: &str = "TOFU_SCENE";

/// Returns a module that makes a "machine" in a few seconds: a line in a file that no state records.
fn module(root: &str) -> String {
    let machine = |name: &str, after: &str| {
        format!(
            "resource \"terraform_data\" \"{name}\" {{\n  depends_on = [{after}]\n  input = \"kept-{name}\"\n  \
             provisioner \"local-exec\" {{ command = \"sleep 1; echo {name} >>{root}/made; sleep 1\" }}\n}}\n"
        )
    };
    format!("{}{}", machine("first", ""), machine("second", "terraform_data.first"))
}

fn made(scene: &Scene) -> String {
    std::fs::read_to_string(scene.root.join("made")).unwrap_or_default()
}

/// Runs a whole pass. The other tests start it as a child process and kill it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass() {
    if let Ok(root) = std::env::var(ROOT) {
        let root = Utf8PathBuf::from(root);
        let main = std::fs::read_to_string(root.join("main.tf")).unwrap();
        let mut scene = Scene::at(root, &main);
        for name in ["HCLOUD_TOKEN", "HCLOUD_ENDPOINT"] {
            scene.variables.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
        }
        scene.converge().await.unwrap();
        return;
    }
    let mut scene = Scene::new("");
    scene.write(&module(scene.root.as_str()));
    scene.converge().await.unwrap();
    assert_eq!(made(&scene), "first\nsecond\n");
}

fn begin(scene: &Scene) -> Child {
    std::fs::write(scene.root.join("main.tf"), &scene.files["main.tf"]).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "interrupted::a_pass"])
        .env(ROOT, &scene.root)
        .envs(&scene.variables)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_mins(1), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn goes_on(scene: &Scene) {
    let proposed = scene.plan().await.unwrap();
    if proposed.applicable {
        scene.apply(&proposed).await.unwrap();
    }
    assert_eq!(made(scene), "first\nsecond\n", "{:?}", scene.said);
    let state = scene.vault().await.state().await.unwrap().unwrap();
    assert_eq!(state.resources, ["terraform_data.first", "terraform_data.second"]);
    assert!(!scene.plan().await.unwrap().applicable);
    assert_eq!(scene.vault().await.locked().await.unwrap(), None);
    assert_eq!(holding(&scene.root, "\"instances\":"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_makes_the_first() {
    let mut scene = Scene::new("");
    scene.write(&module(scene.root.as_str()));
    let mut child = begin(&scene);
    wait_until("the first is made", || made(&scene).contains("first"));
    child.kill().unwrap();
    child.wait().unwrap();
    goes_on(&scene).await;
    assert!(scene.heard("Waiting for OpenTofu of an earlier run"), "{:?}", scene.said);
    assert!(scene.heard("Taking over the state"), "{:?}", scene.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_only_looked_for_later() {
    let mut scene = Scene::new("");
    scene.write(&module(scene.root.as_str()));
    let mut child = begin(&scene);
    wait_until("the first is made", || made(&scene).contains("first"));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("its OpenTofu gave up", || scene.root.join("work/errored.tfstate").exists());
    goes_on(&scene).await;
    assert!(!scene.root.join("work/errored.tfstate").exists());
}

/// The run is killed at moments spread over the whole pass.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_time() {
    for after in (200..5400).step_by(650) {
        let mut scene = Scene::new("");
        scene.write(&module(scene.root.as_str()));
        let mut child = begin(&scene);
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
        goes_on(&scene).await;
    }
}

/// SIGTERM from a terminal or a supervisor reaches OpenTofu, which ends cleanly.
#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end() {
    let mut scene = Scene::new("");
    scene.write(&module(scene.root.as_str()));
    let mut child = begin(&scene);
    wait_until("the first is made", || made(&scene).contains("first"));
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert!(!child.wait().unwrap().success());
    assert_eq!(scene.vault().await.locked().await.unwrap(), None, "it ended in good order");
    assert!(!scene.root.join("work/errored.tfstate").exists());
    let state = scene.vault().await.state().await.unwrap().unwrap();
    assert_eq!(state.resources, ["terraform_data.first"]);
    assert_eq!(made(&scene), "first\n");
}

/// Only the run is killed, at moments spread over it, while a machine is ordered: its `OpenTofu` finishes its work.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_machine_is_ordered() {
    for after in (400..2800).step_by(300) {
        let api = Api::begin();
        api.fault("POST", "/servers", 1, Fault::Slow(1000));
        let scene = hetzner::scene(&api);
        let mut child = begin(&scene);
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
        let proposed = scene.plan().await.unwrap();
        if proposed.applicable {
            scene.apply(&proposed).await.unwrap();
        }
        assert!(!scene.plan().await.unwrap().applicable);
        let made = api.account().log.iter().filter(|line| *line == "POST /servers").count();
        assert_eq!((made, api.all("servers").len()), (1, 1), "killed after {after} ms: {:?}", scene.said);
    }
}

/// All processes end at once, between the order of a machine and the state that records it.
#[tokio::test(flavor = "multi_thread")]
async fn power_is_lost_after_the_order() {
    let api = Api::begin();
    let mut scene = hetzner::scene(&api);
    api.fault("GET", "/servers/", 1, Fault::Slow(30_000));
    let mut child = begin(&scene);
    wait_until("the machine is ordered", || !api.all("servers").is_empty());
    let who = std::fs::read_to_string(scene.root.join("work/.deployer/tofu.who")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let group = format!("-{}", who.trim_start_matches("pid "));
    assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
    assert!(scene.vault().await.locked().await.unwrap().is_some(), "the lock outlives its run");

    // The lock is taken over. The unrecorded machine is not duplicated, and is adopted by its id.
    let proposed = scene.plan().await.unwrap();
    let failure = scene.apply(&proposed).await.unwrap_err();
    assert!(failure.advice().contains("import block"), "{failure:?}");
    assert_eq!(api.all("servers").len(), 1);
    let import = |address: &str, id: &serde_json::Value| format!("import {{\n  to = {address}\n  id = \"{id}\"\n}}\n");
    let mut main = MACHINE.to_owned();
    for (address, collection) in [
        ("hcloud_server.machine", "servers"),
        ("hcloud_firewall.machine", "firewalls"),
        ("hcloud_ssh_key.deployer", "ssh_keys"),
    ] {
        main.push_str(&import(address, &api.all(collection)[0]["id"]));
    }
    scene.write(&main);
    let proposed = scene.plan().await.unwrap();
    assert_eq!(proposed.changes.len(), 3, "{proposed:#?}");
}
