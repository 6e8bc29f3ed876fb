//! A server of Hetzner Cloud, from the manifest's section to its destruction: the real provider, deployer's templates,
//! and a stand-in for the API whose server is a host of the bed.

use crate::bed::{BedHost, Run, Work, bed_value};
use crate::hetzner_api::{Api, Fault, TOKEN};
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A manifest with one server, and the account in which it is ordered.
pub struct Cloud {
    pub work: Work,
    pub api: Arc<Api>,
}

impl Cloud {
    pub fn new() -> Self {
        let cloud = Self { work: Work::empty(), api: Arc::new(Api::begin()) };
        let manifest = format!(
            "version: 1\nproject: shop\nstate_passphrase: {{ from_env: PASSPHRASE }}\nenvironments:\n  cloud:\n    provisioned:\n      \
             hetzner: {{ server_type: cx22, location: fsn1, token: {{ from_env: TOKEN }}, firewall: true }}\n    ssh: {{ \
             identity_file: {}, wait: 60s }}\n    configure: {{ security_updates: false, firewall: false }}\n    stage: provisioned\n",
            bed_value("BED_KEY").display()
        );
        cloud.work.write("deployment.yaml", manifest);
        cloud
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.work.command(arguments);
        let tofu = bed_value("BED_TOFU");
        command.env("PATH", format!("{}:{}", tofu.display(), std::env::var("PATH").expect("a PATH")));
        command.env("TF_CLI_CONFIG_FILE", tofu.join("settings.tfrc")).env("HCLOUD_ENDPOINT", &self.api.endpoint);
        command.env("TOKEN", TOKEN).env("PASSPHRASE", "correct horse");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Work::finish(&mut self.command(arguments))
    }

    pub fn apply(&self) -> Run {
        self.run(&["apply", "--json"])
    }

    pub fn servers(&self) -> Vec<Value> {
        self.api.all("servers")
    }

    /// Returns the kind and action of each step of a plan, and true if the step is destructive.
    pub fn plan(&self) -> Vec<(String, String, bool)> {
        let plan = self.run(&["plan", "--json"]).expect(0).of("plan").remove(0);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let step = |step: &Value| (text(&step["kind"]), text(&step["action"]), step["destructive"] == true);
        plan["steps"].as_array().into_iter().flatten().map(step).collect()
    }
}

/// Simulates a server's first boot with its user data on a host, when there is a server that is not `known`, with a
/// user of that `name`. Returns the final commands of the user data.
pub fn boot(api: &Arc<Api>, host: &BedHost, known: &Value, name: &str) -> Vec<String> {
    let begun = Instant::now();
    let data = loop {
        let data = api.all("servers").into_iter().find(|server| server["id"] != *known);
        match data.and_then(|server| Some(server["user_data"].as_str()?.to_owned())) {
            Some(data) => break data,
            None if begun.elapsed() > Duration::from_mins(1) => return Vec::new(),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let config: Value =
        serde_json::from_str(data.strip_prefix("#cloud-config\n").expect("a first line")).expect("JSON");
    let user = &config["users"][0];
    assert_eq!((&user["name"], &config["ssh_pwauth"]), (&name.into(), &false.into()));
    let key = config["ssh_keys"]["ed25519_private"].as_str().expect("a key");
    host.script(&format!(
        "set -eu\ncd /etc/ssh\nrm -f ssh_host_*\numask 077\ncat > ssh_host_ed25519_key <<'/.'\n{key}\n/.\n\
         ssh-keygen -y -f ssh_host_ed25519_key > ssh_host_ed25519_key.pub\nsystemctl restart ssh\n"
    ));
    let commands = config["runcmd"].as_array().expect("commands").iter();
    commands.map(|argv| argv[2].as_str().expect("a script").to_owned()).collect()
}

#[test]
fn a_server_is_ordered_once_found_again_resized_and_taken_down() {
    let cloud = Cloud::new();
    let host = BedHost::bare();
    cloud.api.hand_out(&host.ipv4);

    // The order succeeded and its response was lost: the server is not recorded.
    cloud.api.fault("POST", "/servers", 1, Fault::BrokenAfterwards);
    let failed = cloud.apply().expect(1);
    assert_eq!(failed.reasons(), ["provision-failed"]);
    assert_eq!(cloud.servers().len(), 1);
    let ordered = cloud.servers()[0]["id"].clone();
    assert_eq!(cloud.servers()[0]["labels"]["deployer-environment"], "cloud");
    // The server cannot be destroyed before it is recorded again.
    let destroy = ["destroy", "cloud", "--allow-destroy", "cloud", "--json"];
    assert_eq!(cloud.run(&destroy).expect(1).reasons(), ["provision-failed"]);

    // The next run takes the server over, and connects with the key of its creation.
    boot(&cloud.api, &host, &Value::Null, "deploy");
    assert_eq!(cloud.apply().expect(0).outcome(), "changed");
    assert_eq!((cloud.servers().len(), &cloud.servers()[0]["id"]), (1, &ordered));
    assert_eq!(cloud.apply().expect(0).outcome(), "converged");
    assert_eq!(cloud.api.all("firewalls").len(), 1);

    // No file contains the secrets: the token, the passphrase, the key.
    let secrets = format!("{TOKEN}|correct horse|OPENSSH PRIVATE");
    let kept = Command::new("grep").args(["-rlaE", &secrets]).arg(cloud.work.path(".deployer")).output();
    let kept = kept.expect("grep starts");
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "");

    // Another size is changed in place. Another location is another server, which needs consent.
    cloud.work.edit("deployment.yaml", "cx22", "cx32");
    assert_eq!(cloud.plan()[0], ("infrastructure".to_owned(), "update".to_owned(), false));
    assert_eq!(cloud.apply().expect(0).outcome(), "changed");
    assert_eq!(cloud.servers()[0]["server_type"]["name"], "cx32");
    cloud.work.edit("deployment.yaml", "fsn1", "nbg1");
    assert_eq!(cloud.plan()[0], ("infrastructure".to_owned(), "replace".to_owned(), true));
    assert_eq!(cloud.apply().expect(6).reasons(), ["consent-missing"]);
    cloud.work.edit("deployment.yaml", "nbg1", "fsn1");
    assert_eq!(cloud.servers()[0]["id"], ordered);

    // The server is deleted by hand: the next apply creates another one.
    cloud.api.delete("servers", ordered.as_u64().expect("a number"));
    let plan = cloud.run(&["plan", "--json"]).expect(0);
    let warned = plan.of("warning").remove(0)["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(warned, "hcloud_server.machine was deleted, but not by deployer");
    assert_eq!(cloud.plan()[0].0, "infrastructure");
    cloud.api.hand_out(&host.ipv4);
    assert_eq!(cloud.apply().expect(0).outcome(), "changed");
    assert_ne!(cloud.servers()[0]["id"], ordered);

    cloud.run(&destroy).expect(0);
    assert!(cloud.servers().is_empty() && cloud.api.all("firewalls").is_empty());
}

#[test]
fn a_refusal_of_the_provider_is_reported_and_loses_nothing() {
    for (fault, words) in [(Fault::SoldOut, "resource_unavailable"), (Fault::Broken, "server_error")] {
        let cloud = Cloud::new();
        cloud.api.fault("POST", "/servers", 1, fault);
        let failed = cloud.run(&["provision", "cloud", "--json"]).expect(1);
        let error = failed.of("error").remove(0);
        assert!(error.to_string().contains(words), "{error}");
        assert!(!failed.stdout.contains(TOKEN) && !failed.stdout.contains("PRIVATE KEY"));
        cloud.run(&["destroy", "cloud", "--allow-destroy", "cloud", "--json"]).expect(0);
        assert!(cloud.api.all("firewalls").is_empty());
    }
}
