//! Destroying: by name and with consent, it removes exactly what deployer placed, and nothing comes back by itself.

use crate::bed::{BedHost, Work, image};
use crate::scene::{APP, STATE, containers, everything};
use serde_json::{Value, json};

const DESTROY: [&str; 5] = ["destroy", "production", "--allow-destroy", "production", "--json"];

fn suspended(work: &Work) -> Value {
    work.run(&["status", "--json"]).expect(0).of("environment")[0]["suspended"].clone()
}

#[test]
fn destroying_needs_consent_by_name_and_removes_exactly_ours() {
    let host = BedHost::docker();
    host.shell("mkdir -p /opt/deployer; echo theirs >/opt/deployer/theirs; docker network create theirs");
    let theirs = image("demo-2.tar");
    let loaded = std::process::Command::new("sh")
        .args(["-c", "\"$0\" shell \"$1\" docker load <\"$2\""])
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"), &host.name])
        .arg(theirs)
        .output();
    assert!(loaded.expect("sh starts").status.success());
    host.shell("docker run -d --name theirs demo:2");
    let untouched = "dpkg-query -f '${Package} ${Status}\\n' -W 'docker*' containerd; cat /opt/deployer/theirs; \
                     docker inspect -f '{{.Id}} {{.State.StartedAt}}' theirs; docker images -q demo:2; docker network ls -q --filter name=theirs";
    let before = host.shell(untouched);

    let work = Work::demo(&host);
    let shown = |stage: &str| {
        let view = work.run(&["status", "--json"]).expect(0).of("environment")[0].clone();
        assert_eq!((&view["stage"], &view["drifted"]), (&Value::from(stage), &json!([])));
    };
    // Docker runs there, but nothing of the environment is there.
    shown("created");
    let absent = |run: &crate::bed::Run| {
        let plan = &run.of("plan")[0];
        assert_eq!(plan["converged"], json!([]));
        assert_eq!(plan["unchanged"], json!([{ "environment": "production", "why": "absent" }]));
    };
    absent(&work.run(&DESTROY).expect(0));
    work.apply().expect(0);
    let running = everything(&host);
    // A plan for another name leaves no record of it.
    work.edit("deployment.yaml", "  production:", "  prod:");
    let renamed = work.run(&["plan", "--json"]);
    assert!(renamed.warnings("production")[0].contains("no longer in the manifest"), "{}", renamed.stdout);
    work.edit("deployment.yaml", "  prod:", "  production:");
    assert!(work.run(&["plan", "--json"]).expect(0).warnings("prod").is_empty());
    for refused in [&["destroy", "production", "--json"][..], &["destroy", "production", "--yes", "--json"]] {
        let run = work.run(refused).expect(6);
        assert_eq!((run.reasons(), run.outcome()), (vec!["consent-missing".to_owned()], "refused".to_owned()));
        let steps = run.of("plan")[0]["steps"].as_array().expect("steps").clone();
        let facts = steps.iter().flat_map(|step| step["changes"].as_array().expect("changes").clone());
        let facts: Vec<_> = facts.map(|change| change["fact"].as_str().unwrap_or_default().to_owned()).collect();
        let named = ["container shop--production-web-1", "network shop--production_default", "image demo:1", APP];
        assert_eq!(facts, named);
    }
    let another = work.run(&["destroy", "production", "--allow-destroy", "other", "--json"]).expect(6);
    assert_eq!(another.reasons(), ["consent-missing"]);
    assert_eq!(everything(&host), running);

    let run = work.run(&DESTROY).expect(0);
    assert_eq!(run.outcome(), "changed");
    assert!(run.of("plan")[0]["steps"].as_array().expect("steps").iter().all(|step| step["destructive"] == true));
    assert_eq!(host.shell(untouched), before);
    assert_eq!(host.shell("docker ps -aq --filter label=com.docker.compose.project"), "");
    assert_eq!(host.shell("docker images -q demo:1"), "");
    assert_eq!(host.shell("docker network ls --format '{{.Name}}' | grep -c production || :"), "0\n");
    assert!(host.holds(&format!("[ ! -e {APP} ]")));
    let marker: Value = serde_json::from_str(&host.shell(&format!("cat {STATE}/marker.json"))).expect("a marker");
    assert_eq!(marker["suspended"], true);
    assert_eq!(
        host.shell(&format!("find {STATE} -type f -printf '%f\\n' | sort")),
        "claims\nlast\nlease.lock\nlock\nlock.aside\nmarker.json\nserial\ntoken\n"
    );
    assert_eq!(host.shell(&format!("cat {STATE}/claims")).trim(), "", "no volume is left that it would claim");
    let again = work.run(&DESTROY).expect(0);
    assert_eq!(again.outcome(), "converged");
    absent(&again);
    shown("destroyed");
    let status = work.run(&["status"]).expect(0).stdout;
    assert!(status.contains("production: destroyed. To deploy it again: deployer apply production\n"), "{status}");
}

#[test]
fn a_destroyed_environment_stays_away_until_it_is_resumed_or_named() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.apply().expect(0);
    work.run(&DESTROY).expect(0);
    assert_eq!(suspended(&work), true);
    let before = everything(&host);
    for lost in [false, true] {
        if lost {
            std::fs::remove_dir_all(work.path(".deployer")).expect("a store");
        }
        let run = work.apply().expect(0);
        assert_eq!(run.outcome(), "converged");
        assert!(run.warnings("production")[0].contains("deployer resume production"), "{}", run.stdout);
        assert_eq!(everything(&host), before);
    }
    assert_eq!(work.run(&["resume", "production", "--json"]).expect(0).outcome(), "changed");
    assert_eq!(suspended(&work), false);
    assert_eq!(work.run(&["resume", "production", "--json"]).expect(0).outcome(), "converged");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));

    work.run(&DESTROY).expect(0);
    assert_eq!(work.run(&["apply", "production", "--json"]).expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert_eq!(suspended(&work), false);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_declared_destruction_is_consent_and_ends_with_its_declaration() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.manifest(&host, "    stage: running\n");
    work.apply().expect(0);
    work.edit("deployment.yaml", "stage: running", "stage: destroyed");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(containers(&host).len(), 0);
    assert!(host.holds(&format!("[ ! -e {APP} ]")));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    work.edit("deployment.yaml", "stage: destroyed", "stage: running");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
}

#[test]
fn a_host_that_is_gone_is_forgotten_by_name() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.apply().expect(0);
    host.fault("sshd-stop", &[]);
    assert_eq!(work.run(&DESTROY).expect(7).reasons(), ["connection-refused"]);
    assert_eq!(work.run(&["state", "forget", "production", "--json"]).expect(6).reasons(), ["consent-missing"]);
    assert_eq!(work.run(&["list", "--json"]).expect(0).of("environment")[0]["stage"], "running");
    work.run(&["state", "forget", "production", "--allow-destroy", "production", "--json"]).expect(0);
    assert_eq!(work.run(&["list", "--json"]).expect(0).of("environment")[0]["stage"], "created");
}
