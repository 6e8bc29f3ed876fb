//! The files that OpenTofu gets for each kind of machine: files without secrets, and the secrets separately. Does not
//! start it.

use camino::Utf8Path;
use deployer::manifest::{self, environment::Environment};
use deployer::reconcile::machine::Keys;
use deployer::reconcile::machine::inputs::{self, Surroundings};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn environment(file: &str, name: &str) -> Environment {
    let manifest = manifest::load_unsettled(file, Some(Utf8Path::new("/home/me"))).expect("valid");
    manifest.environments.into_iter().find(|(key, _)| key.as_str() == name).expect("in it").1
}

fn given(environment: &Environment) -> inputs::Inputs {
    let keys = Keys { private: "PRIVATE\nKEY\n".into(), public: "ssh-ed25519 AAAApublic".to_owned() };
    let secrets =
        BTreeMap::from(["token".to_owned(), "other".to_owned()].map(|it| (it, SecretString::from("hunter2"))));
    let directory = Utf8Path::new(ROOT).join(".deployer/tofu/x");
    let around =
        Surroundings { authorized: "ssh-ed25519 AAAAme", keys: &keys, secrets: &secrets, directory: &directory };
    let provision = environment.provision.as_deref().expect("provisioned");
    inputs::of(environment, provision, &around).expect("inputs")
}

#[test]
fn each_kind_of_machine_gets_its_files() {
    let file = format!("{ROOT}/tests/cases/manifest/valid/provisioned.yaml");
    for name in ["plain", "large", "cloud", "own", "public"] {
        let given = given(&environment(&file, name));
        let mut text = String::new();
        for (file, content) in
            given.files.iter().filter(|(file, _)| !["main.tf", inputs::KEPT].contains(&file.as_str()))
        {
            assert!(!content.contains("hunter2") && !content.contains("PRIVATE"), "{file} holds a secret");
            writeln!(text, "---- {file}\n{content}").unwrap();
        }
        for (variable, value) in &given.variables {
            writeln!(text, "---- {variable} (in the environment)\n{}", value.expose_secret()).unwrap();
        }
        let debug = format!("{given:?}");
        assert!(!debug.contains("hunter2") && !debug.contains("PRIVATE"), "{debug}");
        insta::assert_snapshot!(format!("machine_{name}"), text);
    }
}

#[test]
fn a_module_is_given_what_it_declares() {
    let given = given(&environment(&format!("{ROOT}/examples/module/deployment.yaml"), "lab"));
    assert!(given.our_host_key);
    assert_eq!(given.variables.keys().collect::<Vec<_>>(), ["TF_VAR_deployer_host_key"]);
    let main: serde_json::Value = serde_json::from_str(&given.files["main.tf.json"]).expect("JSON");
    let call = &main["module"]["machine"];
    assert_eq!(call["source"], "../../../examples/module/infra");
    assert_eq!((&call["image"], &call["deployer"]), (&"${var.variables[\"image\"]}".into(), &"${var.deployer}".into()));
    let values: serde_json::Value = serde_json::from_str(&given.files["terraform.tfvars.json"]).expect("JSON");
    assert_eq!(values["deployer"]["host_key"], "ssh-ed25519 AAAApublic");
}

/// A value of the manifest is data to OpenTofu, even in files whose strings it reads as templates.
#[test]
fn no_value_of_the_manifest_is_an_expression() {
    let folder = tempfile::tempdir().expect("a directory");
    let manifest = r#"version: 1
project: shop
environments:
  lab:
    provisioned:
      module: { source: "git::https://git.example.com/${file(\"x\")}", variables: { a: "${b}" } }
      backend: { s3: { bucket: "a${file(\"/etc/hostname\")}%{if x}", more: { list: ["${y}", 1] } } }
    ssh: { identity: { from_env: KEY } }
"#;
    let file = folder.path().join("deployment.yaml");
    std::fs::write(&file, manifest).expect("written");
    let given = given(&environment(file.to_str().expect("UTF-8"), "lab"));
    let read = |name: &str| serde_json::from_str::<serde_json::Value>(&given.files[name]).expect("JSON");
    let s3 = &read("backend.tf.json")["terraform"]["backend"]["s3"];
    assert_eq!(s3["bucket"], r#"a$${file("/etc/hostname")}%%{if x}"#);
    assert_eq!(s3["more"]["list"], serde_json::json!(["$${y}", 1]));
    let call = &read("main.tf.json")["module"]["machine"];
    assert_eq!(call["source"], r#"git::https://git.example.com/$${file("x")}"#);
    // Files of values contain no templates.
    assert_eq!(read("terraform.tfvars.json")["variables"]["a"], "${b}");
}

#[test]
fn templates_next_to_the_manifest_replace_ours() {
    let folder = tempfile::tempdir().expect("a directory");
    let own = folder.path().join("templates/tofu/lxd");
    std::fs::create_dir_all(&own).expect("directories");
    std::fs::write(own.join("main.tf"), "# mine\n").expect("written");
    std::fs::write(own.join("more.tf"), "# more\n").expect("written");
    let manifest = "version: 1\nproject: shop\nenvironments:\n  lab:\n    provisioned: { lxd: { image: a } }\n    ssh: { \
                    identity: { from_env: KEY } }\n";
    let file = folder.path().join("deployment.yaml");
    std::fs::write(&file, manifest).expect("written");
    let given = given(&environment(file.to_str().expect("UTF-8"), "lab"));
    assert_eq!((given.files["main.tf"].as_str(), given.files["more.tf"].as_str()), ("# mine\n", "# more\n"));
}

/// `render` writes the files for a review before anything is created.
#[test]
fn the_files_for_a_review_are_complete_and_hold_no_secret() {
    let folder = tempfile::tempdir().expect("a directory");
    let manifest = "version: 1\nproject: shop\nstate_passphrase: { from_env: NOT_SET }\nenvironments:\n  cloud:\n    \
                    provisioned: { hetzner: { server_type: cx23, location: nbg1, token: hunter2 } }\n    ssh: { identity: { \
                    from_env: KEY } }\n";
    std::fs::write(folder.path().join("deployment.yaml"), manifest).expect("written");
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_deployer"))
        .args(["render", "cloud", "-o", "out"])
        .current_dir(folder.path())
        .env_clear()
        .env("KEY", "hunter2 too")
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out/opentofu").join(name)).expect("written");
    let mut names: Vec<String> = std::fs::read_dir(folder.path().join("out/opentofu"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "cloud-init.yaml",
            "deployer_backend.tf.json",
            "kept_override.tf",
            "main.tf",
            "terraform.tfvars.json",
            "variables.env"
        ]
    );
    assert_eq!(
        read("main.tf"),
        std::fs::read_to_string(format!("{ROOT}/templates/tofu/hetzner/main.tf")).expect("there")
    );
    assert!(names.iter().all(|name| !read(name).contains("hunter2")), "a secret is shown");
    let variables = read("variables.env");
    assert!(variables.ends_with("\nHCLOUD_TOKEN=\nTF_VAR_cloud_init= # cloud-init.yaml\n"), "{variables}");
    assert!(read("cloud-init.yaml").contains(r#""ed25519_private":"(secret)""#), "{}", read("cloud-init.yaml"));
    assert!(read("terraform.tfvars.json").contains(r#""server_type": "cx23""#));
}

#[test]
fn a_plan_that_cannot_be_made_says_why_and_nothing_of_changes() {
    let folder = tempfile::tempdir().expect("a directory");
    let manifest = "version: 1\nproject: shop\nenvironments:\n  lab:\n    provisioned: { lxd: { image: a } }\n    ssh: { \
                    identity: { from_env: KEY } }\n";
    std::fs::write(folder.path().join("deployment.yaml"), manifest).expect("written");
    let mut plan = assert_cmd::Command::new(env!("CARGO_BIN_EXE_deployer"));
    // There is no program to run.
    let plan = plan.arg("plan").current_dir(folder.path()).env_clear().env("KEY", "x").env("PATH", "/nowhere");
    let output = plan.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    assert!(!text(&output.stderr).contains("No changes") && text(&output.stderr).contains("lab"));
}
