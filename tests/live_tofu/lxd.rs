//! Machines of the kind `lxd`: the example with OpenTofu, LXD's provider and the bed's LXD, from nothing to a healthy
//! application and back. The provider is the real one of the mirror that `DEPLOYER_TEST_PROVIDERS` names. Without a
//! mirror, it is the stand-in (`tests/lxd_provider`). Needs no registry.

use crate::bed::{Run, bed};
use crate::provision::{Lab, kinds};
use camino::Utf8PathBuf;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROVISION: [&str; 3] = ["provision", "lab", "--json"];
const DESTROY: [&str; 5] = ["destroy", "lab", "--allow-destroy", "lab", "--json"];

/// Returns settings of OpenTofu that know only LXD's provider.
fn settings() -> PathBuf {
    Path::new(bed(&["lxd_provider"]).trim()).join("settings.tfrc")
}

/// Returns the example, unchanged except for the bed's image with cloud-init and the bed's network.
fn lab() -> Lab {
    let lab = Lab::of("lxd", "cloud", settings());
    let machine = format!("image: cloud, network: {}", lab.network);
    lab.work.edit("deployment.yaml", "image: \"ubuntu:24.04\"", &machine);
    lab
}

fn plan(lab: &Lab) -> Value {
    lab.run(&["plan", "--json"]).expect(0).of("plan").remove(0)
}

/// Returns the action of a plan's first step, which is the machine's, and true if the step is destructive.
fn first(plan: &Value) -> (String, bool) {
    let (kind, action) = kinds(plan).remove(0);
    assert_eq!(kind, "infrastructure", "{plan}");
    (action, plan["steps"][0]["destructive"] == true)
}

fn status(lab: &Lab) -> Value {
    lab.run(&["status", "--json"]).of("environment").remove(0)
}

fn page(lab: &Lab) -> Option<String> {
    Lab::page_at(status(lab)["address"].as_str().expect("an address"))
}

/// Returns one of the machine's properties in LXD.
fn property(lab: &Lab, path: &str) -> String {
    let text = bed(&["lxc", "query", &format!("/1.0/instances/{}", lab.machine())]);
    let whole: Value = serde_json::from_str(&text).expect("JSON");
    let found = whole.pointer(path).unwrap_or(&Value::Null);
    found.as_str().map_or_else(|| found.to_string(), str::to_owned)
}

fn born(lab: &Lab) -> String {
    property(lab, "/created_at")
}

fn profiles() -> Vec<String> {
    let all = bed(&["lxc", "profile", "list", "-f", "csv"]);
    all.lines().map(|line| line.split(',').next().unwrap_or_default().to_owned()).collect()
}

fn messages(run: &Run) -> String {
    let all = run.of("error");
    all.iter().map(|error| format!("{} {}", error["message"], error["hint"])).collect::<Vec<_>>().join("\n")
}

#[test]
fn one_command_makes_a_container_with_a_healthy_application_and_one_destroys_it() {
    let lab = lab();
    let profiles_before = profiles();
    let before = plan(&lab);
    assert_eq!(first(&before), ("create".to_owned(), false));
    let later = before["steps"].as_array().unwrap().iter().skip(1);
    assert!(later.clone().count() > 3 && later.clone().all(|step| step["reason"] == "known after provision"));

    assert_eq!(lab.apply().expect(0).outcome(), "changed");
    assert!(page(&lab).is_some_and(|page| page.contains("hello")));
    assert_eq!(lab.machines().len(), 1);
    let made = born(&lab);
    assert_eq!(property(&lab, "/config/user.deployer-environment"), "lab");
    assert_eq!(property(&lab, "/config/limits.cpu"), "2");
    // Docker's own interfaces exist by now, and are not mistaken for the machine's.
    assert_eq!(lab.run(&["plan", "--json", "--detailed-exitcode"]).code, 0);
    assert_eq!(lab.apply().expect(0).outcome(), "converged");
    let now = status(&lab);
    assert_eq!((&now["target"], &now["stage"]), (&"provisioned".into(), &"running".into()), "{now}");

    // Another size is changed in place, while the application runs.
    let started =
        bed(&["lxc", "info", &lab.machine()]).lines().find(|line| line.starts_with("Last Used")).map(str::to_owned);
    lab.work.edit("deployment.yaml", "cpus: 2, memory: 2GiB", "cpus: 1, memory: 1GiB");
    let plan = plan(&lab);
    assert_eq!(first(&plan), ("update".to_owned(), false), "{plan}");
    assert!(plan["steps"][0].to_string().contains("limits.memory"), "{plan}");
    lab.apply().expect(0);
    assert_eq!(
        (property(&lab, "/config/limits.cpu"), property(&lab, "/config/limits.memory")),
        ("1".into(), "1GiB".into())
    );
    let pool = bed(&["lxc", "storage", "list", "-f", "csv"]).split(',').next().unwrap().to_owned();
    lab.work.edit("deployment.yaml", "memory: 1GiB", &format!("memory: 1GiB, disk: 6GiB, pool: {pool}"));
    lab.apply().expect(0);
    lab.work.edit("deployment.yaml", "disk: 6GiB", "disk: 7GiB");
    assert_eq!(first(&self::plan(&lab)), ("update".to_owned(), false));
    lab.apply().expect(0);
    assert_eq!(property(&lab, "/devices/root/size"), "7GiB");
    let since =
        bed(&["lxc", "info", &lab.machine()]).lines().find(|line| line.starts_with("Last Used")).map(str::to_owned);
    assert_eq!((born(&lab), since), (made.clone(), started), "the same machine, never started anew");
    assert!(page(&lab).is_some_and(|page| page.contains("hello")));
    assert_eq!(lab.apply().expect(0).outcome(), "converged");

    // Another user applies to the next machine that replaces this one.
    lab.work.edit("deployment.yaml", "user: deploy", "user: keeper");
    let run = lab.apply().expect(0);
    assert_eq!(run.outcome(), "converged");
    assert!(run.of("warning")[0]["message"].as_str().is_some_and(|text| text.contains("made for deploy, port 22")));

    // Another image is another machine, which needs consent by name.
    let fingerprint = bed(&["lxc", "image", "list", "cloud", "-f", "csv", "-c", "F"]);
    lab.work.edit("deployment.yaml", "image: cloud", &format!("image: \"{}\"", fingerprint.trim()));
    let plan = self::plan(&lab);
    assert_eq!(first(&plan), ("replace".to_owned(), true), "{plan}");
    assert!(plan["steps"][0].to_string().contains("because of image"), "{plan}");
    assert_eq!(lab.apply().expect(6).reasons(), ["consent-missing"]);
    assert_eq!(born(&lab), made);
    lab.run(&["apply", "--json", "--allow-destroy", "lab"]).expect(0);
    assert_ne!(born(&lab), made);
    assert!(property(&lab, "/config/cloud-init.user-data").contains("keeper"));
    assert!(lab.apply().expect(0).of("warning").is_empty());
    assert_eq!(lab.machines().len(), 1);
    assert!(page(&lab).is_some_and(|page| page.contains("hello")));
    assert_eq!(lab.apply().expect(0).outcome(), "converged");

    assert_eq!(lab.run(&["destroy", "lab", "--json"]).expect(6).reasons(), ["consent-missing"]);
    assert_eq!(lab.run(&DESTROY).expect(0).outcome(), "changed");
    assert!(lab.machines().is_empty());
    assert_eq!(profiles(), profiles_before);
    // The state is gone, so the rest may be forgotten.
    lab.run(&["state", "forget", "lab", "--allow-destroy", "lab", "--json"]).expect(0);
}

#[test]
fn changes_to_a_container_by_hand_are_seen_and_corrected() {
    let lab = lab();
    lab.run(&PROVISION).expect(0);
    let made = born(&lab);
    for (by_hand, mended) in [
        (vec!["config", "set", &lab.machine(), "limits.cpu=1"], "/config/limits.cpu"),
        (vec!["stop", "--force", &lab.machine()], "/status"),
    ] {
        let before = property(&lab, mended);
        bed(&[vec!["lxc"], by_hand].concat());
        assert_ne!(property(&lab, mended), before);
        assert!(status(&lab)["drifted"].to_string().contains("infrastructure"), "{mended}");
        lab.run(&PROVISION).expect(0);
        assert_eq!((property(&lab, mended), born(&lab)), (before, made.clone()));
    }
    bed(&["lxc", "delete", "--force", &lab.machine()]);
    assert!(status(&lab)["drifted"].to_string().contains("infrastructure"));
    lab.run(&PROVISION).expect(0);
    assert_eq!(lab.machines().len(), 1);
    assert_ne!(born(&lab), made);
    // A machine that is already gone can still be destroyed.
    bed(&["lxc", "delete", "--force", &lab.machine()]);
    lab.run(&DESTROY).expect(0);
    assert!(lab.machines().is_empty());
}

fn kill(process: &str) {
    // The process may have ended already.
    let _ = Command::new("kill").args(["-KILL", "--", process]).stderr(Stdio::null()).status();
}

/// Kills all processes at once, like a power failure. OpenTofu and its provider have a separate process group.
fn lose_power(mut run: Child) {
    let parent = run.id().to_string();
    let below = Command::new("pgrep").args(["-P", &parent]).output().expect("pgrep starts").stdout;
    run.kill().expect("killed");
    for process in String::from_utf8_lossy(&below).split_whitespace() {
        kill(&format!("-{process}"));
        kill(process);
    }
    run.wait().expect("an end");
}

#[test]
fn a_container_that_no_state_knows_is_taken_over_and_never_doubled() {
    let lab = lab();
    let run = lab.command(&PROVISION).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("deployer starts");
    let begun = Instant::now();
    while lab.machines().is_empty() {
        assert!(begun.elapsed() < Duration::from_mins(1), "no container appears");
        std::thread::sleep(Duration::from_millis(50));
    }
    lose_power(run);
    let made = born(&lab);
    let plan = plan(&lab);
    assert!(plan["steps"][0].to_string().contains("taken over"), "{plan}");
    lab.run(&PROVISION).expect(0);
    assert_eq!((lab.machines().len(), born(&lab)), (1, made));
    assert_eq!(lab.run(&["plan", "--json", "--detailed-exitcode"]).code, 2, "the application is yet to come");
    assert_eq!(lab.run(&PROVISION).expect(0).outcome(), "converged");
    lab.run(&DESTROY).expect(0);
    assert!(lab.machines().is_empty());
}

#[test]
fn a_container_that_took_anothers_place_is_reached_as_it_was_born_though_its_run_was_killed() {
    let lab = lab();
    lab.run(&PROVISION).expect(0);
    let fingerprint = bed(&["lxc", "image", "list", "cloud", "-f", "csv", "-c", "F"]);
    lab.work.edit("deployment.yaml", "image: cloud", &format!("image: \"{}\"", fingerprint.trim()));
    lab.work.edit("deployment.yaml", "user: deploy", "user: keeper");
    let mut apply = lab.command(&[&PROVISION[..], &["--allow-destroy", "lab"]].concat());
    let said = lab.work.path("said.json");
    let file = std::fs::File::create(&said).expect("a file");
    let run = apply.stdout(file).stderr(Stdio::null()).spawn().expect("deployer starts");
    let begun = Instant::now();
    // The machine is created and recorded, even while the provider still waits, and nobody has connected yet.
    let made = "connect to the machine for the first time";
    while !std::fs::read_to_string(&said).expect("text").contains(made) {
        assert!(begun.elapsed() < Duration::from_mins(1), "the machine is not made");
        std::thread::sleep(Duration::from_millis(20));
    }
    lose_power(run);
    let made = born(&lab);
    let next = lab.run(&PROVISION).expect(0);
    assert!(!next.stdout.contains("was made for"), "{}", next.stdout);
    assert_eq!((lab.machines().len(), born(&lab)), (1, made));
    assert!(property(&lab, "/config/cloud-init.user-data").contains("keeper"));
    assert_eq!(lab.run(&PROVISION).expect(0).outcome(), "converged");
    lab.run(&DESTROY).expect(0);
}

#[test]
fn a_container_of_somebody_else_that_has_the_name_is_left_alone() {
    let lab = lab();
    bed(&["lxc", "init", "cloud", &lab.machine()]);
    let there = property(&lab, "/config");
    let run = lab.run(&PROVISION).expect(1);
    assert!(messages(&run).contains("already exists"), "{}", messages(&run));
    // The second run searches for a machine that the first run may have left behind.
    let run = lab.run(&PROVISION).expect(1);
    assert!(messages(&run).contains("did not make"), "{}", messages(&run));
    assert_eq!(property(&lab, "/config"), there);
}

#[test]
fn the_template_is_valid_for_containers_and_virtual_machines() {
    let lab = lab();
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["main.tf", "kept_override.tf"] {
        let template = format!("{}/templates/tofu/lxd/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(template, directory.path().join(name)).expect("copied");
    }
    let tofu = crate::scene::tools().join("tofu");
    for arguments in [&["init", "-backend=false"][..], &["validate"]] {
        let output = Command::new(&tofu)
            .args(arguments)
            .arg("-no-color")
            .current_dir(directory.path())
            .env("TF_CLI_CONFIG_FILE", &lab.settings)
            .output()
            .expect("tofu starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    // A plan passes all of the provider's checks of values, without any request to LXD.
    let machine = "type: virtual-machine, disk: 20GiB, config: { security.secureboot: false }, profiles: []";
    lab.work.edit("deployment.yaml", "cpus: 2", &format!("cpus: 2, {machine}"));
    let plan = plan(&lab);
    assert_eq!(first(&plan), ("create".to_owned(), false));
    assert!(plan["steps"][0].to_string().contains("virtual-machine"), "{plan}");
}

#[test]
fn a_mirror_without_the_provider_is_reported() {
    let lab = lab();
    let mirror = lab.settings.parent().expect("a directory").join("mirror");
    let directory = tempfile::tempdir().expect("a directory");
    let other = Utf8PathBuf::from_path_buf(directory.path().join("mirror")).expect("UTF-8");
    std::fs::create_dir(&other).expect("a directory");
    std::os::unix::fs::symlink(mirror.join("registry.terraform.io"), other.join("registry.terraform.io"))
        .expect("a link");
    let settings = directory.path().join("settings.tfrc");
    let text = format!("provider_installation {{\n  filesystem_mirror {{ path = \"{other}\" }}\n}}\n");
    std::fs::write(&settings, text).expect("written");
    let run = lab.command(&["plan", "--json"]).env("TF_CLI_CONFIG_FILE", &settings).output().expect("deployer starts");
    let said = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("tofu searches it below registry.opentofu.org"), "{said}");

    // The tests accept either half of the mirror, and report a missing part.
    let provider = |mirror: &str| {
        let bed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed");
        Command::new(bed).arg("lxd_provider").env("DEPLOYER_TEST_PROVIDERS", mirror).output().expect("tests/bed starts")
    };
    let half = provider(other.as_str());
    assert!(half.status.success(), "{half:?}");
    let copied = PathBuf::from(String::from_utf8_lossy(&half.stdout).trim());
    let settings = copied.join("settings.tfrc");
    let run = lab.command(&["plan", "--json"]).env("TF_CLI_CONFIG_FILE", settings).output().expect("deployer starts");
    std::fs::remove_dir_all(copied).expect("removed");
    assert!(run.status.success(), "{run:?}");
    let empty = provider(directory.path().to_str().expect("UTF-8"));
    let said = String::from_utf8_lossy(&empty.stderr);
    assert!(!empty.status.success() && said.contains("has no terraform-lxd/lxd 2.6.2"), "{said}");
}

/// tests/run.sh omits this test if Terraform is not installed.
#[test]
fn with_terraform_in_place_of_tofu() {
    let lab = lab();
    lab.run(&["provision", "lab", "--json", "--tofu", "terraform"]).expect(0);
    assert_eq!(lab.run(&["provision", "lab", "--json", "--tofu", "terraform"]).expect(0).outcome(), "converged");
    lab.run(&["destroy", "lab", "--allow-destroy", "lab", "--json", "--tofu", "terraform"]).expect(0);
    assert!(lab.machines().is_empty());
}
