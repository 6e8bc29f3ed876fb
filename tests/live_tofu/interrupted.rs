//! A run that is killed in the middle: its OpenTofu works on, and the next run waits for it, takes its state over and
//! makes nothing twice.

use crate::scene::{Scene, holding};
use camino::Utf8PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the run that is to be killed works; set for that run alone.
const ROOT: &str = "TOFU_SCENE";

/// Makes a "machine" in a few seconds: a line in a file that no state knows of.
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

/// A whole pass. As a child of the other tests it is what they kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass() {
    let mut scene = Scene::new("");
    if let Ok(root) = std::env::var(ROOT) {
        scene = Scene::at(Utf8PathBuf::from(root), "");
    }
    scene.write(&module(scene.root.as_str()));
    scene.converge().await.unwrap();
    assert_eq!(made(&scene), "first\nsecond\n");
}

fn begin(scene: &Scene) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "interrupted::a_pass"])
        .env(ROOT, &scene.root)
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

/// At moments spread over the whole pass.
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

/// A terminal's or a supervisor's request to end reaches OpenTofu, which ends in good order.
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
