//! The real Hetzner provider against a stand-in for its API: the changes that a run makes in an account, and its
//! messages when the API fails.

use crate::hetzner_api::{Api, Fault, TOKEN};
use crate::scene::{Scene, only};
use deployer::io::opentofu::{Action, Planned, Proposed};
use deployer::model::failure::Reason;
use serde_json::json;
use std::process::Command;

/// A machine with a key and a firewall.
pub const MACHINE: &str = r##"
terraform {
  required_providers {
    hcloud = { source = "hetznercloud/hcloud", version = "1.57.0" }
  }
}
provider "hcloud" { poll_interval = "20ms" }
resource "hcloud_ssh_key" "deployer" {
  name       = "shop-prod"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHdBqyo2/0kBpXJ9xlgvDuXF0vhHwyWSY7eYvp+zUQl test"
}
resource "hcloud_firewall" "machine" {
  name = "shop-prod"
  rule {
    direction  = "in"
    protocol   = "tcp"
    port       = "22"
    source_ips = ["0.0.0.0/0", "::/0"]
  }
}
resource "hcloud_server" "machine" {
  name         = "shop-prod"
  server_type  = "cx22"
  image        = "debian-13"
  location     = "fsn1"
  ssh_keys     = [hcloud_ssh_key.deployer.id]
  firewall_ids = [hcloud_firewall.machine.id]
  user_data    = "#cloud-config\n"
  keep_disk    = true
  labels       = { project = "shop", environment = "prod" }
}
output "address" { value = hcloud_server.machine.ipv4_address }
"##;

/// Returns an environment whose provider uses that account.
pub fn scene(api: &Api) -> Scene {
    let mut scene = Scene::new(MACHINE);
    scene.variables.insert("HCLOUD_TOKEN".to_owned(), TOKEN.to_owned());
    scene.variables.insert("HCLOUD_ENDPOINT".to_owned(), api.endpoint.clone());
    scene
}

fn actions(proposed: &Proposed) -> Vec<(&str, Action)> {
    proposed.changes.iter().map(|change| (change.address.as_str(), change.action)).collect()
}

/// Returns the planned value of an attribute of the server.
fn planned<'a>(proposed: &'a Proposed, path: &str) -> Option<&'a Planned> {
    let server = proposed.changes.iter().find(|change| change.address == "hcloud_server.machine")?;
    server.attributes.iter().find(|attribute| attribute.path == path).map(|attribute| &attribute.to)
}

/// Saves the plan as a case of `tests/cases/tofu` if `RECORD_CASES=1`.
fn record(scene: &Scene, proposed: &Proposed, name: &str) {
    if std::env::var_os("RECORD_CASES").is_none() {
        return;
    }
    let shown = Command::new(scene.tools.join("tofu"))
        .args(["show", "-json", proposed.file.as_str()])
        .current_dir(scene.root.join("work"))
        .envs([
            ("TF_HTTP_ADDRESS", "http://127.0.0.1:1"),
            ("TF_CLI_CONFIG_FILE", scene.tools.join("settings.tfrc").as_str()),
        ])
        .output()
        .unwrap();
    let mut plan: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    for part in ["configuration", "timestamp"] {
        plan.as_object_mut().unwrap().remove(part);
    }
    let path = format!("{}/tests/cases/tofu/{name}.plan", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(path, format!("{plan:#}\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_lives_and_goes() {
    let api = Api::begin();
    api.hand_out("192.0.2.10");
    api.hand_out("192.0.2.11");
    let mut scene = scene(&api);
    let (proposed, outputs) = scene.converge().await.unwrap();
    let created = ["hcloud_firewall.machine", "hcloud_server.machine", "hcloud_ssh_key.deployer"];
    assert_eq!(actions(&proposed), created.map(|address| (address, Action::Create)));
    assert_eq!(planned(&proposed, "ipv4_address"), Some(&Planned::Unknown));
    assert_eq!(outputs.text("address").as_deref(), Some("192.0.2.10"));
    assert_eq!(api.all("servers")[0]["labels"], json!({ "project": "shop", "environment": "prod" }));
    assert!(!scene.plan().await.unwrap().applicable);

    // Another size is changed in place.
    scene.write(&MACHINE.replace("cx22", "cx32"));
    let (proposed, outputs) = scene.converge().await.unwrap();
    assert_eq!(only(&proposed), ("hcloud_server.machine", Action::Update));
    assert_eq!(planned(&proposed, "server_type"), Some(&Planned::Known("cx32".to_owned())));
    assert_eq!(outputs.text("address").as_deref(), Some("192.0.2.10"));
    assert_eq!(api.all("servers")[0]["server_type"]["name"], "cx32");
    assert_eq!(api.all("servers")[0]["status"], "running");

    // A change by hand is detected and corrected.
    let number = api.all("servers")[0]["id"].as_u64().unwrap();
    api.account().objects.get_mut("servers").unwrap().get_mut(&number).unwrap()["labels"] = json!({});
    let proposed = scene.plan().await.unwrap();
    assert_eq!(only(&proposed), ("hcloud_server.machine", Action::Update));
    assert_eq!(proposed.drift.len(), 1, "{proposed:#?}");
    record(&scene, &proposed, "drift-changed");
    scene.apply(&proposed).await.unwrap();

    // Another location is a new machine.
    scene.write(&MACHINE.replace("cx22", "cx32").replace("fsn1", "hel1"));
    let (proposed, outputs) = scene.converge().await.unwrap();
    assert_eq!(only(&proposed), ("hcloud_server.machine", Action::Replace));
    assert_eq!(proposed.changes[0].because, ["location"]);
    assert_eq!(outputs.text("address").as_deref(), Some("192.0.2.11"));
    assert_eq!(api.all("servers").len(), 1);

    // A machine that was deleted by hand is detected and created again.
    let number = api.all("servers")[0]["id"].as_u64().unwrap();
    api.delete("servers", number);
    let proposed = scene.plan().await.unwrap();
    assert_eq!(only(&proposed), ("hcloud_server.machine", Action::Create));
    let drift: Vec<_> = proposed.drift.iter().map(|change| (change.address.as_str(), change.action)).collect();
    assert!(drift.contains(&("hcloud_server.machine", Action::Delete)), "{:#?}", proposed.drift);
    record(&scene, &proposed, "drift-deleted");
    assert!(proposed.exists);
    scene.apply(&proposed).await.unwrap();

    scene.destroy().await.unwrap();
    for collection in ["servers", "firewalls", "ssh_keys", "primary_ips"] {
        assert!(api.all(collection).is_empty(), "{collection}: {:?}", api.all(collection));
    }
    assert!(!scene.vault().await.exists().await.unwrap());
    assert!(!scene.heard(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_and_an_address_outlive_the_machine() {
    let api = Api::begin();
    api.hand_out("192.0.2.20");
    let mut scene = scene(&api);
    let kept = MACHINE.replace(
        "  labels       =",
        "  public_net {\n    ipv4         = hcloud_primary_ip.kept.id\n    ipv6_enabled = false\n  }\n  labels       =",
    ) + r#"
resource "hcloud_primary_ip" "kept" {
  name          = "shop-prod"
  type          = "ipv4"
  assignee_type = "server"
  auto_delete   = false
  datacenter    = "fsn1-dc1"
}
resource "hcloud_volume" "data" {
  name     = "shop-prod"
  size     = 10
  location = "fsn1"
}
resource "hcloud_volume_attachment" "data" {
  volume_id = hcloud_volume.data.id
  server_id = hcloud_server.machine.id
}
"#;
    scene.write(&kept);
    let (_, outputs) = scene.converge().await.unwrap();
    assert_eq!(outputs.text("address").as_deref(), Some("192.0.2.20"));
    assert!(!scene.plan().await.unwrap().applicable);
    let volume = api.all("volumes")[0]["id"].clone();
    scene.write(&kept.replace("debian-13", "debian-12").replace("size     = 10", "size     = 20"));
    let (_, outputs) = scene.converge().await.unwrap();
    assert_eq!(outputs.text("address").as_deref(), Some("192.0.2.20"));
    assert_eq!(api.all("volumes")[0]["id"], volume);
    assert_eq!(api.all("volumes")[0]["size"], 20);
    assert_eq!(api.all("volumes")[0]["server"], api.all("servers")[0]["id"]);
    scene.destroy().await.unwrap();
    assert!(api.all("volumes").is_empty() && api.all("primary_ips").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_requests_is_waited_for() {
    let api = Api::begin();
    let scene = scene(&api);
    api.fault("POST", "/servers", 2, Fault::RateLimited(1));
    scene.converge().await.unwrap();
    assert_eq!(api.all("servers").len(), 1);
    assert_eq!(api.asked("POST", "/servers rate_limit_exceeded"), 2);
}

/// Asserts that a run fails with its reason, and that the next run continues from there.
async fn fails_and_goes_on(fault: (&str, &str, Fault), words: &[&str], made: usize) {
    let api = Api::begin();
    let scene = scene(&api);
    api.fault(fault.0, fault.1, 1, fault.2);
    let failure = scene.converge().await.unwrap_err();
    assert_eq!(failure.reason, Reason::ProvisionFailed, "{failure:?}");
    let all = format!("{} {} {}", failure.message(), failure.details.clone().unwrap_or_default(), failure.advice());
    assert!(words.iter().all(|word| all.contains(word)), "{failure:#?}");
    assert!(!format!("{failure:?}").contains(TOKEN));
    assert_eq!(api.all("servers").len(), made);
    let before = api.all("ssh_keys");
    scene.converge().await.unwrap();
    assert_eq!(api.all("ssh_keys"), before, "what was made is not made again");
    assert_eq!(api.all("servers").len(), 1);
    assert!(!scene.plan().await.unwrap().applicable);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_loses_nothing() {
    fails_and_goes_on(("POST", "/servers", Fault::Broken), &["hcloud_server.machine", "server_error"], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_in_use() {
    fails_and_goes_on(("POST", "/servers", Fault::Taken), &["uniqueness_error", "adopt it with an import block"], 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_not_a_failure() {
    let api = Api::begin();
    let scene = scene(&api);
    api.fault("POST", "/servers", 1, Fault::Slow(11_000));
    scene.converge().await.unwrap();
    assert!(scene.heard("hcloud_server.machine: creating (10 s)"), "{:?}", scene.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn sold_out() {
    let words = ["resource_unavailable", "choose another location or server type"];
    fails_and_goes_on(("POST", "/servers", Fault::SoldOut), &words, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_the_machine_was_made_is_remembered() {
    // The machine's creation is known and the provider's next request fails: the machine is tainted and replaced, and
    // never duplicated.
    fails_and_goes_on(("GET", "/servers/", Fault::Broken), &["hcloud_server.machine", "server_error"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_a_machine_that_is_found_by_its_name() {
    let api = Api::begin();
    let mut scene = scene(&api);
    api.fault("POST", "/servers", 1, Fault::BrokenAfterwards);
    scene.converge().await.unwrap_err();
    assert_eq!(api.all("servers").len(), 1);
    let failure = scene.converge().await.unwrap_err();
    assert!(failure.advice().contains("import block"), "{failure:?}");
    assert_eq!(api.all("servers").len(), 1, "never a second one");
    let number = api.all("servers")[0]["id"].clone();
    let import = format!("\nimport {{\n  to = hcloud_server.machine\n  id = \"{number}\"\n}}\n");
    // The provider cannot read these two attributes back, so an unchanged adopted machine would be replaced.
    let adopted =
        MACHINE.replace("  labels ", "  lifecycle {\n    ignore_changes = [ssh_keys, user_data]\n  }\n  labels ");
    scene.write(&format!("{MACHINE}{import}"));
    assert_eq!(only(&scene.plan().await.unwrap()), ("hcloud_server.machine", Action::Replace));
    scene.write(&format!("{adopted}{import}"));
    let (proposed, _) = scene.converge().await.unwrap();
    assert_eq!(only(&proposed), ("hcloud_server.machine", Action::Import));
    assert_eq!(api.all("servers")[0]["id"], number);
    scene.write(&adopted);
    assert!(!scene.plan().await.unwrap().applicable);
}
