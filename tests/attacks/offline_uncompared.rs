//! `plan --offline` names the files that it cannot compare: an environment with such files is never reported as
//! matching the manifest.

#[path = "../common/record.rs"]
mod common;

use crate::review::{CANARY, Work, manifest};
use deployer::io::store::{Record, Store};
use deployer::model::event::Health;
use deployer::model::state::{Kind, Stage};
use deployer::reconcile::prepare::{self, Resolve};
use deployer::resource::{self, HostFacts};
use std::fs;

/// Records that the host of `web` matches the manifest, with these secret files.
fn recorded(work: &Work, secret: &[&str]) {
    let root = camino::Utf8PathBuf::try_from(work.repository()).unwrap();
    let text = fs::read_to_string(root.join("deployment.yaml")).unwrap();
    let parsed = deployer::manifest::parse(&text, "deployment.yaml", &root, None).unwrap();
    let environment = parsed.environments.values().next().unwrap().clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let prepared = prepare::prepare(environment, Resolve::Literals, &|_, _| {}).await.unwrap();
        let mut facts = HostFacts::default();
        facts.access.systemd = true;
        let mut state = resource::desired(&prepared.subject(), &facts);
        for path in secret {
            let value = format!("0600 keyed:{}", "1".repeat(32));
            state.0.entry(Kind::Files).or_default().insert((*path).to_owned(), value);
        }
        let record = Record {
            health: Health::Healthy,
            address: "192.0.2.1".to_owned(),
            observed_at: jiff::Timestamp::now(),
            serial: 1,
            ..common::record(state, Stage::Running)
        };
        let store = Store::open("sqlite:.deployer/state.db", &root).await.unwrap();
        store.save("shop", "web", &record, None).await.unwrap();
        store.close().await;
    });
}

#[test]
fn files_that_are_not_compared_offline_are_named() {
    let work = Work::new();
    let compose = "services: { web: { image: \"demo:${TAG}\", env_file: [ web.env ] } }\n";
    work.put("app/compose.yaml", compose);
    work.put("app/web.env", &format!("B={CANARY}\n"));
    work.put("app/.env", "TAG=1\n");
    work.put("deployment.yaml", &manifest("./app", "{ A: { from_env: SEC } }", ""));
    recorded(&work, &[".env", "conf.txt", "web.env"]);
    work.put("app/web.env", "B=2\n");
    let files = ".env, conf.txt, web.env";
    let reason = "because they are secret, need a value that was not read, or differ from the commit";
    let plan = |form: &[&str], code: i32| {
        let run = work.run(&[&["plan", "--offline", "--detailed-exitcode"], form].concat());
        assert!(run.code == code && !run.out.contains(CANARY), "{form:?}: {} {}{}", run.code, run.out, run.err);
        run.out
    };
    let text = plan(&[], 2);
    assert!(text.ends_with(&format!("Not compared in web, {reason}: {files}\n")), "{text}");
    assert!(!text.contains("No changes"), "{text}");
    let text = plan(&["--json"], 2);
    assert!(text.contains(r#""converged":[],"uncompared":{"web":[".env","conf.txt","web.env"]}"#), "{text}");
    assert!(text.contains(r#""outcome":"planned""#), "{text}");
    let text = plan(&["--format", "markdown"], 2);
    assert!(text.contains(": incomplete\n") && text.contains("**Not compared** in <code>web</code>"), "{text}");
    assert!(files.split(", ").all(|file| text.contains(&format!("<code>{file}</code>"))), "{text}");
    let text = plan(&["--format", "github"], 2);
    assert!(text.contains("::warning ") && text.contains(&format!("Not compared, {reason}: {files}")), "{text}");
    assert!(!text.contains("No changes"), "{text}");
    let graph = work.run(&["graph", "--format", "mermaid"]).out;
    assert!(graph.contains("web: not compared"), "{graph}");

    // Without such files, everything is compared.
    let _ = fs::remove_dir_all(work.repository().join(".deployer"));
    for name in ["app/.env", "app/web.env"] {
        fs::remove_file(work.repository().join(name)).unwrap();
    }
    work.put("app/compose.yaml", "services: { web: { image: \"demo:1\" } }\n");
    work.put("app/conf.txt.tera", "a\n");
    work.put("deployment.yaml", &manifest("./app", "{}", ""));
    recorded(&work, &[]);
    let text = plan(&[], 0);
    assert!(text.contains("No changes. web matches the manifest."), "{text}");
}
