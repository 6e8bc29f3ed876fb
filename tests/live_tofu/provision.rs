//! Created machines: the example with a user's module, with the real OpenTofu, from nothing to a healthy application
//! and back. The machines are containers of the bed's LXD.

use crate::bed::{Run, Work, bed, bed_value, image};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// An example of the repository whose environment is called `lab`, on the bed.
pub struct Lab {
    pub work: Work,
    project: String,
    gateway: String,
    /// The network of its machine.
    pub network: String,
    /// The number of its first address among the bed's machine addresses. Its second address is seven higher.
    pub number: u8,
    /// The file of OpenTofu's settings.
    pub settings: PathBuf,
}

static LAST: AtomicU8 = AtomicU8::new(0);
/// The number of labs with a chosen address.
static ADDRESSED: AtomicU8 = AtomicU8::new(0);

impl Lab {
    /// Makes a manifest of a separate project with one machine, which a module creates later.
    pub fn new(kind: &str) -> Self {
        let mut lab = Self::of("module", kind, bed_value("BED_TOFU").join("settings.tfrc"));
        lab.number = ADDRESSED.fetch_add(1, Ordering::SeqCst) % 7;
        for name in ["infra/main.tf", "infra/machine.sh"] {
            let file = format!("{}/examples/module/{name}", env!("CARGO_MANIFEST_DIR"));
            lab.work.write(name, std::fs::read(file).expect("an example"));
        }
        let script = lab.work.path("infra/machine.sh");
        std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
        let dns = format!("setup: \"echo nameserver {} > /etc/resolv.conf\"", lab.gateway);
        for (from, to) in [
            ("images:debian/13", kind.to_owned()),
            ("lxdbr0", lab.network.clone()),
            ("address: 10.10.10.50", format!("address: {}, {dns}", lab.address(lab.number))),
        ] {
            lab.work.edit("deployment.yaml", from, &to);
        }
        lab
    }

    /// Makes an example with this machine's values in place of its readers': project, key, application. Machines are
    /// created from the bed's image of that kind.
    pub fn of(example: &str, kind: &str, settings: PathBuf) -> Self {
        let number = LAST.fetch_add(1, Ordering::SeqCst);
        let line = bed(&["machines", kind]);
        let (network, gateway) = line.trim().split_once(' ').expect("NETWORK GATEWAY");
        let (network, gateway) = (network.to_owned(), gateway.to_owned());
        let project = format!("shop{number}");
        let lab = Self { work: Work::empty(), project, gateway, network, number: 0, settings };
        let file = format!("{}/examples/{example}/deployment.yaml", env!("CARGO_MANIFEST_DIR"));
        lab.work.write("deployment.yaml", std::fs::read(file).expect("an example"));
        lab.work.write("app/compose.yaml", crate::bed::DEMO);
        lab.work.write("app/html/index.html", "hello from a machine\n");
        lab.work.link("demo.tar", &image("demo-1.tar"));
        for (from, to) in [
            ("project: shop", format!("project: {}", lab.project)),
            ("~/.ssh/id_ed25519", bed_value("BED_KEY").display().to_string()),
            ("    application:\n", "    configure: { security_updates: false }\n    application:\n".to_owned()),
            ("directory: ./app", "directory: ./app, archives: { \"demo:1\": ./demo.tar }".to_owned()),
        ] {
            lab.work.edit("deployment.yaml", from, &to);
        }
        lab
    }

    /// Returns one of the bed's machine addresses.
    pub fn address(&self, number: u8) -> String {
        format!("{}.{}", self.gateway.rsplit_once('.').expect("an address").0, 241 + number)
    }

    /// Returns the name of its machine.
    pub fn machine(&self) -> String {
        format!("{}--lab", self.project)
    }

    /// Returns a command that runs deployer with OpenTofu and the bed's LXD.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.work.command(arguments);
        let (tofu, lxd) = (bed_value("BED_TOFU"), bed_value("BED_LXD"));
        let path = format!("{}:{}", tofu.display(), std::env::var("PATH").expect("a PATH"));
        command.env("PATH", path).env("TF_CLI_CONFIG_FILE", &self.settings);
        command.env("LXD_CONF", lxd.join("client")).env("LXD_DIR", lxd);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Work::finish(&mut self.command(arguments))
    }

    pub fn apply(&self) -> Run {
        self.run(&["apply", "--json"])
    }

    /// Returns the name and start of each container of this project in LXD.
    pub fn machines(&self) -> Vec<String> {
        let all = bed(&["lxc", "list", "-f", "csv", "-c", "n,l"]);
        all.lines().filter(|line| line.starts_with(&self.project)).map(str::to_owned).collect()
    }

    pub fn page(&self, number: u8) -> Option<String> {
        Self::page_at(&self.address(number))
    }

    /// Returns the page that the application serves at an address.
    pub fn page_at(address: &str) -> Option<String> {
        let url = format!("http://{address}:8080/");
        let output =
            Command::new("curl").args(["-sf", "-m", "5", "--noproxy", "*", &url]).output().expect("curl starts");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
            .args(["lxc", "delete", "--force", &self.machine()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Returns the kind and action of each step of a plan.
pub fn kinds(plan: &Value) -> Vec<(String, String)> {
    let step = |step: &Value| {
        (step["kind"].as_str().unwrap_or("").to_owned(), step["action"].as_str().unwrap_or("").to_owned())
    };
    plan["steps"].as_array().into_iter().flatten().map(step).collect()
}

#[test]
fn one_command_makes_a_machine_with_a_healthy_application_and_one_destroys_it() {
    let lab = Lab::new("docker");
    let number = lab.number;

    // At first, the machine comes first, and the other steps are planned as far as they are known.
    let plan = lab.run(&["plan", "--json"]).expect(0);
    let plan = plan.of("plan").remove(0);
    assert_eq!(kinds(&plan)[0], ("infrastructure".to_owned(), "create".to_owned()), "{plan}");
    let later: Vec<&Value> = plan["steps"].as_array().unwrap().iter().skip(1).collect();
    assert!(later.iter().all(|step| step["reason"] == "known after provision"), "{plan}");
    assert!(later.iter().any(|step| step["kind"] == "services"), "{plan}");
    assert!(lab.machines().is_empty());
    assert_eq!(lab.run(&["ssh", "lab", "--", "true"]).code, 7);

    let first = lab.apply().expect(0);
    assert_eq!(first.outcome(), "changed");
    assert!(lab.page(number).is_some_and(|page| page.contains("hello")));
    let made = lab.machines();
    assert_eq!(made.len(), 1);
    assert_eq!(lab.apply().expect(0).outcome(), "converged");
    let status = lab.run(&["status", "--json"]).expect(0).of("environment").remove(0);
    assert_eq!((&status["target"], &status["stage"]), (&"provisioned".into(), &"running".into()), "{status}");
    assert_eq!(status["address"], lab.address(number));
    assert_eq!(lab.run(&["plan", "--json", "--detailed-exitcode"]).code, 0);

    // A property that cannot be changed in place replaces the machine, which needs consent by name.
    let (old, new) = (lab.address(number), lab.address(number + 7));
    lab.work.edit("deployment.yaml", &old, &new);
    let plan = lab.run(&["plan", "--json"]).expect(0).of("plan").remove(0);
    assert_eq!(kinds(&plan)[0], ("infrastructure".to_owned(), "replace".to_owned()), "{plan}");
    assert_eq!(plan["steps"][0]["destructive"], true, "{plan}");
    assert_eq!(lab.apply().expect(6).reasons(), ["consent-missing"]);
    assert_eq!(lab.machines(), made);
    lab.run(&["apply", "--json", "--allow-destroy", "lab"]).expect(0);
    assert!(lab.page(number + 7).is_some_and(|page| page.contains("hello")));
    assert_eq!(lab.machines().len(), 1);

    // The records of a machine cannot be forgotten while it exists.
    let forget = lab.run(&["state", "forget", "lab", "--allow-destroy", "lab", "--json"]).expect(6);
    assert_eq!(forget.reasons(), ["infrastructure-exists"]);
    assert_eq!(lab.run(&["destroy", "lab", "--json"]).expect(6).reasons(), ["consent-missing"]);
    assert_eq!(lab.run(&["destroy", "lab", "--allow-destroy", "lab", "--json"]).expect(0).outcome(), "changed");
    assert!(lab.machines().is_empty());

    // The environment stays destroyed until it is named.
    assert_eq!(lab.apply().expect(0).outcome(), "converged");
    let listed = lab.run(&["list", "--json"]).expect(0).of("environment").remove(0);
    assert_eq!((&listed["stage"], &listed["suspended"]), (&"destroyed".into(), &true.into()), "{listed}");
    assert!(lab.machines().is_empty());
    lab.run(&["provision", "lab", "--json"]).expect(0);
    assert_eq!(lab.machines().len(), 1);
    lab.run(&["destroy", "lab", "--allow-destroy", "lab", "--json"]).expect(0);
    lab.run(&["state", "forget", "lab", "--allow-destroy", "lab", "--json"]).expect(0);
}

/// Runs if Terraform is installed. `tests/run.sh` reports if it is not.
#[test]
fn terraform_makes_the_machine_of_the_example_and_destroys_it() {
    let lab = Lab::new("docker");
    let terraform = |arguments: &[&str]| lab.run(&[arguments, &["--json", "--tofu", "terraform"]].concat());
    assert_eq!(terraform(&["apply"]).expect(0).outcome(), "changed");
    assert!(lab.page(lab.number).is_some_and(|page| page.contains("hello")));
    assert_eq!(lab.machines().len(), 1);
    assert_eq!(terraform(&["apply"]).expect(0).outcome(), "converged");
    terraform(&["destroy", "lab", "--allow-destroy", "lab"]).expect(0);
    assert!(lab.machines().is_empty());
}

#[test]
fn runs_killed_while_a_machine_is_made_leave_one_that_the_next_run_finds() {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kill-provision.sh"))
        .args(["4", env!("CARGO_BIN_EXE_deployer")])
        .stdin(Stdio::null())
        .output()
        .expect("the script starts");
    let (said, trouble) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{trouble}");
    assert_eq!(said.lines().last(), Some("runs 4, converged 4, machines doubled 0, machines lost 0"));
}

#[test]
fn the_state_of_a_machine_is_not_left_on_a_temporary_runner() {
    let lab = Lab::new("bare");
    let plan = Work::finish(lab.command(&["plan", "--json"]).env("CI", "true"));
    assert_eq!(plan.expect(6).reasons(), ["state-fleeting"]);
    let allowed = lab.command(&["plan", "--json", "--allow-local-state"]).env("CI", "true").status().expect("an end");
    assert!(allowed.success());
    // A named program does not exist. The manifest alone shows that one is needed.
    let check = lab.work.run(&["check", "--json", "--tofu", "/nowhere/tofu"]).expect(1);
    assert_eq!(check.reasons(), ["tool-missing"]);
}

#[test]
fn a_forgotten_machine_stays_and_is_reported_as_unmanaged() {
    let lab = Lab::new("bare");
    lab.run(&["provision", "lab", "--json"]).expect(0);
    let made = lab.machines();
    // The machine now exists, and somebody else manages it.
    let manifest = lab.work.read("deployment.yaml");
    let (start, end) = (manifest.find("    provisioned:").unwrap(), manifest.find("    ssh:").unwrap());
    let registered = format!("    registered: {{ address: {} }}\n", lab.address(lab.number));
    lab.work.write("deployment.yaml", manifest[..start].to_owned() + &registered + &manifest[end..]);
    let plan = lab.run(&["plan", "--offline", "--json"]).expect(0);
    let warned = plan.warnings("lab").iter().any(|message| message.contains("--keep-infrastructure"));
    assert!(warned, "{}", plan.stdout);
    let forget = ["state", "forget", "lab", "--allow-destroy", "lab", "--json"];
    assert_eq!(lab.run(&forget).expect(6).reasons(), ["infrastructure-exists"]);
    lab.run(&[&forget[..], &["--keep-infrastructure"]].concat()).expect(0);
    assert_eq!(lab.machines(), made);
    let plan = lab.run(&["plan", "--offline", "--json"]).expect(0);
    assert!(plan.warnings("lab").is_empty(), "it is forgotten: {}", plan.stdout);
}

#[test]
fn a_removed_entry_is_destroyed_with_its_machine_once_it_is_named() {
    let lab = Lab::new("bare");
    lab.run(&["provision", "lab", "--json"]).expect(0);
    let other = "  other:\n    registered: { address: 192.0.2.1 }\n";
    lab.work.write("deployment.yaml", format!("version: 1\nproject: {}\nenvironments:\n{other}", lab.project));
    let plan = lab.run(&["plan", "--offline", "--json"]).expect(0);
    let warnings = plan.warnings("lab");
    assert_eq!(warnings.len(), 1, "{}", plan.stdout);
    assert!(warnings[0].contains("deployer destroy lab destroys its machine"), "{warnings:?}");
    assert_eq!(lab.run(&["destroy", "lab", "--json"]).expect(6).reasons(), ["consent-missing"]);
    assert_eq!(lab.machines().len(), 1);
    let destroy = lab.run(&["destroy", "lab", "--allow-destroy", "lab", "--json"]).expect(0);
    assert_eq!(destroy.outcome(), "changed");
    assert!(lab.machines().is_empty());
    let plan = lab.run(&["plan", "--offline", "--json"]).expect(0);
    assert!(plan.warnings("lab").is_empty(), "it is forgotten: {}", plan.stdout);
    assert_eq!(lab.run(&["destroy", "lab", "--allow-destroy", "lab", "--json"]).code, 64, "nobody knows it any more");
}
