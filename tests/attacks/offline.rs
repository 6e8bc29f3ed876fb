//! Commands that only read run none of the commands that a foreign manifest names, and read none of its files.

use crate::review::{CANARY, Work};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Returns a manifest with a source in every place that accepts one. Commands create the file `ran`, and files are a
/// pipe that nobody writes to.
fn foreign(work: &Work, source: &str) -> String {
    work.put("app/compose.yaml", "services: { web: { image: \"demo:1\", environment: { A: \"${A}\" } } }\n");
    format!(
        "version: 1\nproject: shop\nstate_passphrase: {{ {source} }}\nregistries: {{ registry.example.com: {{ username: u, password: \
         {{ {source} }} }} }}\nenvironments:\n  web:\n    registered: {{ address: 192.0.2.1 }}\n    ssh: {{ user: deploy, \
         identity: {{ {source} }}, sudo_password: {{ {source} }}, connect_timeout: 1s, wait: 1s }}\n    application:\n      \
         compose:\n        directory: ./app\n        templates: true\n        variables: {{ A: {{ {source} }}, B: {{ {source}, \
         secret: false }} }}\n  made:\n    provisioned: {{ hetzner: {{ server_type: cx22, location: fsn1, image: debian-12, \
         token: {{ {source} }} }} }}\n    ssh: {{ user: deploy, identity: {{ {source} }} }}\n  tracker:\n    registered: {{ \
         address: 192.0.2.2 }}\n    application:\n      tracker: {{ udp: [ {{ port: 6969 }} ], api: {{ token: {{ {source} }} }} }}\n"
    )
}

const COMMANDS: [&[&str]; 22] = [
    &["check"],
    &["check", "web"],
    &["check", "--format", "github"],
    &["check", "--json"],
    &["graph"],
    &["graph", "--format", "mermaid"],
    &["graph", "--format", "svg"],
    &["plan", "--offline"],
    &["plan", "--offline", "--json"],
    &["plan", "--offline", "--format", "markdown"],
    &["plan", "--offline", "--format", "github"],
    &["list"],
    &["list", "--json"],
    &["show", "web"],
    &["show", "made"],
    &["show", "tracker"],
    &["status", "--offline"],
    &["history"],
    &["history", "web", "--offline"],
    &["inventory"],
    &["probe", "web"],
    &["render", "web", "-o", "rendered", "--offline"],
];

#[test]
fn looking_at_a_manifest_runs_no_command() {
    let work = Work::new();
    let ran = work.path("ran");
    let touch = format!("from_command: [touch, {}]", ran.display());
    work.put("deployment.yaml", &foreign(&work, &touch));
    for command in COMMANDS {
        let run = work.run(command);
        assert!(!ran.exists(), "{command:?} ran a command of the manifest: {}", run.err);
        assert!(matches!(run.code, 0 | 1), "{command:?} ends with {}: {}{}", run.code, run.out, run.err);
    }
    for command in [&["check", "web", "tracker"][..], &["plan", "--offline"], &["list"], &["show", "web"]] {
        assert_eq!(work.run(command).code, 0, "{command:?}");
    }
    // `check --secrets` runs the command, because the user asked for it.
    assert_eq!(work.run(&["check", "web", "--secrets"]).code, 0);
    assert!(ran.exists());
}

#[test]
fn looking_at_a_manifest_reads_no_file_and_no_variable() {
    let work = Work::new();
    // Opening this pipe blocks forever.
    let pipe = work.path("pipe");
    assert_cmd::Command::new("mkfifo").arg(&pipe).assert().success();
    work.put("deployment.yaml", &foreign(&work, &format!("from_file: {}", pipe.display())));
    for command in COMMANDS {
        let run = work.run(command);
        assert!(matches!(run.code, 0 | 1), "{command:?} ends with {}: {}", run.code, run.err);
    }
    work.put("deployment.yaml", &foreign(&work, "from_env: JOB_TOKEN"));
    work.put("app/conf.txt.tera", "{{ A }} {{ B }}\n");
    for command in COMMANDS {
        let run = work.run(command);
        assert!(!run.out.contains(CANARY) && !run.err.contains(CANARY), "{command:?}: {}{}", run.out, run.err);
        assert!(matches!(run.code, 0 | 1), "{command:?} ends with {}: {}", run.code, run.err);
    }
    let rendered = work.repository().join("rendered");
    assert!(rendered.join("compose.yaml").exists() && !rendered.join("conf.txt").exists());
    assert_eq!(work.run(&["render", "web", "-o", "whole"]).code, 0);
    let text = fs::read_to_string(work.repository().join("whole/conf.txt")).expect("written");
    assert_eq!(text, format!("env-{CANARY} env-{CANARY}\n"));
}

/// A manifest can name any private key. Commands that only read neither open it nor pass it to ssh-keygen.
#[test]
fn looking_at_a_manifest_opens_no_private_key() {
    let work = Work::new();
    let (ran, bin) = (work.path("ran"), work.path("bin"));
    fs::create_dir(&bin).expect("made");
    fs::write(bin.join("ssh-keygen"), format!("#!/bin/sh\ntouch {}\n", ran.display())).expect("written");
    fs::set_permissions(bin.join("ssh-keygen"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let run = |arguments: &[&str]| {
        let _ = fs::remove_dir_all(work.repository().join("out"));
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_deployer"))
            .args(arguments)
            .current_dir(work.repository())
            .env_clear()
            .env("PATH", path)
            .env("HOME", work.path("home"))
            .output()
            .expect("it starts");
        let given = fs::read_to_string(work.repository().join("out/opentofu/cloud-init.yaml")).unwrap_or_default();
        format!("{}{}{given}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let looks: [&[&str]; 10] = [
        &["check"],
        &["check", "made", "--json"],
        &["graph"],
        &["plan", "--offline"],
        &["list"],
        &["status", "--offline"],
        &["show", "made"],
        &["inventory"],
        &["render", "made", "-o", "out", "--offline"],
        &["render", "made", "-o", "out", "--offline", "--within", "."],
    ];
    let public = format!("ssh-ed25519 AAAA{CANARY} somebody\n");
    for (name, private) in [("id", "-----BEGIN OPENSSH PRIVATE KEY-----\n"), ("told", &public), ("half", "x\n")] {
        fs::write(work.path("outside").join(name), private).expect("written");
        fs::write(work.path("outside/half.pub"), &public).expect("written");
        for suffix in ["", ".pub"] {
            work.link(&format!("key{suffix}"), &work.outside(&format!("{name}{suffix}")));
        }
        for identity in [work.outside(name), "./key".to_owned()] {
            work.put("deployment.yaml", &made(&identity));
            for look in looks {
                let said = run(look);
                assert!(!said.contains(CANARY), "{identity}: {look:?}: {said}");
                assert!(!ran.exists(), "{identity}: {look:?} had ssh-keygen read a key");
            }
        }
    }
    // A public key in the repository is shown, and commands that trust the manifest read the private key.
    work.put("own", "a private key\n");
    work.put("own.pub", "ssh-ed25519 AAAAown somebody\n");
    work.put("deployment.yaml", &made("./own"));
    assert!(run(looks[8]).contains("ssh-ed25519 AAAAown") && !ran.exists());
    fs::remove_file(work.repository().join("own.pub")).expect("removed");
    assert!(run(looks[8]).contains("(the public half of ssh.identity)") && !ran.exists());
    run(&["check", "--secrets"]);
    assert!(ran.exists());
}

fn made(identity: &str) -> String {
    format!(
        "version: 1\nproject: shop\nenvironments:\n  made:\n    provisioned: {{ lxd: {{ image: \"debian/13\" }} }}\n    ssh: {{ \
         user: deploy, identity_file: {identity} }}\n"
    )
}

#[test]
fn commands_that_need_a_host_read_what_opens_the_connection_and_nothing_else() {
    let work = Work::new();
    let (connection, other) = (work.path("connection"), work.path("other"));
    let touch = |path: &std::path::Path| format!("{{ from_command: [touch, {}] }}", path.display());
    let manifest = |identity: &str| {
        format!(
            "version: 1\nproject: shop\nregistries: {{ registry.example.com: {{ username: u, password: {other} }} }}\nenvironments:\n  \
             web:\n    registered: {{ address: 127.0.0.1 }}\n    ssh: {{ port: 1, user: deploy, {identity} connect_timeout: 1s, \
             wait: 1s }}\n    application:\n      compose:\n        directory: ./app\n        templates: true\n        variables: \
             {{ A: {other} }}\n",
            other = touch(&other)
        )
    };
    let commands: [&[&str]; 12] = [
        &["logs", "web"],
        &["ssh", "web"],
        &["exec", "web", "web", "--", "true"],
        &["restart", "web"],
        &["history", "web"],
        &["unlock", "web", "--yes"],
        &["suspend", "web"],
        &["resume", "web"],
        &["backup", "web"],
        &["restore", "web"],
        &["test", "web"],
        &["destroy", "web", "--yes", "--allow-destroy", "web"],
    ];
    for identity in [format!("sudo_password: {},", touch(&connection)), String::new()] {
        work.put("deployment.yaml", &manifest(&identity));
        for command in commands {
            let _ = fs::remove_file(&connection);
            let run = work.run(command);
            assert!(!other.exists(), "{command:?} read what it does not need: {}", run.err);
            assert_eq!(connection.exists(), !identity.is_empty(), "{command:?}: {}{}", run.out, run.err);
        }
    }
    // These commands compare or write secrets.
    for command in [&["plan"][..], &["status"], &["apply", "--yes"], &["render", "web", "-o", "rendered"]] {
        let _ = fs::remove_file(&other);
        let run = work.run(command);
        assert!(other.exists(), "{command:?}: {}{}", run.out, run.err);
    }
}

#[test]
fn completion_runs_nothing() {
    let work = Work::new();
    let ran = work.path("ran");
    work.put("deployment.yaml", &foreign(&work, &format!("from_command: [touch, {}]", ran.display())));
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_deployer"))
        .args(["--", "deployer", "plan", "w"])
        .current_dir(work.repository())
        .env_clear()
        .env("DEPLOYER_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "2")
        .env("_CLAP_IFS", "\n")
        .output()
        .expect("it starts");
    assert!(String::from_utf8_lossy(&output.stdout).contains("web") && !ran.exists(), "{output:?}");
}

/// Returns the lines of a script that start deployer.
fn runs(script: &str) -> Vec<&str> {
    script.lines().map(str::trim).filter(|line| line.starts_with("deployer ")).collect()
}

#[test]
fn the_pipelines_of_the_examples_run_nothing_of_a_fork() {
    let parsed = |text| serde_saphyr::from_str::<serde_json::Value>(text).expect("YAML");
    let review = |line: &&str| line.starts_with("deployer plan --against ");
    let workflow = parsed(include_str!("../../examples/ci/github.yml"));
    let mut reviews = 0;
    for (name, job) in workflow["jobs"].as_object().expect("jobs") {
        let only_pushed = job["if"] == "github.event_name == 'push'";
        for step in job["steps"].as_array().expect("steps") {
            let condition = step["if"].as_str().unwrap_or_default();
            let ours = condition.ends_with("github.event.pull_request.head.repo.full_name == github.repository");
            let lines = runs(step["run"].as_str().unwrap_or_default());
            assert!(only_pushed || ours || lines.iter().all(review), "{name}: {step}");
            reviews += lines.iter().filter(|line| review(line)).count();
        }
    }
    assert_eq!(reviews, 1);
    let pipeline = parsed(include_str!("../../examples/ci/gitlab.yml"));
    for (name, job) in pipeline.as_object().expect("jobs").iter().filter(|(_, job)| job["script"].is_array()) {
        let lines: Vec<&str> =
            job["script"].as_array().into_iter().flatten().filter_map(|line| line.as_str()).collect();
        let lines = runs(&lines.join("\n")).into_iter().filter(|line| !review(line)).count();
        for rule in job["rules"].as_array().expect("rules") {
            let rule = rule["if"].as_str().expect("a condition");
            let ours = rule.ends_with("&& $CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID");
            let merged = rule == "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH";
            assert!(ours || merged || lines == 0, "{name}: {rule}");
        }
    }
    assert_eq!(
        runs(pipeline["review"]["script"][0].as_str().expect("a line")).iter().filter(|line| review(line)).count(),
        1
    );
}
