//! Commands that only read: their output is correct, and they change nothing.

use crate::bed::{BedHost, Work};
use crate::scene::{change, everything, steps, summary};
use serde_json::json;

#[test]
fn plan_says_what_apply_would_do_and_exits_as_asked() {
    let host = BedHost::bare();
    let work = Work::demo(&host);
    let before = everything(&host);
    let plan = work.run(&["plan", "--json", "--detailed-exitcode"]).expect(2);
    let kinds: Vec<_> = steps(&plan).iter().map(|step| step["kind"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(kinds, ["access", "engine", "files", "images", "services"]);
    assert_eq!(plan.outcome(), "planned");
    assert!(!work.path(".deployer").exists());
    work.run(&["plan"]).expect(0);
    assert_eq!(everything(&host), before);
    assert!(!host.holds("[ -e /var/lib/deployer ]"));

    // Everything that apply then does was in the plan.
    let applied = work.apply().expect(0);
    let done: Vec<_> = applied.of("step").into_iter().filter(|step| step["state"] == "applied").collect();
    let done: Vec<_> = done.iter().map(|step| step["kind"].as_str().unwrap_or_default()).collect();
    assert_eq!(done, kinds);
    assert_eq!(work.run(&["plan", "--json", "--detailed-exitcode"]).expect(0).outcome(), "converged");
    let text = work.run(&["apply"]).expect(0);
    assert!(text.stdout.contains("No changes"), "{}", text.stdout);
}

#[test]
fn status_list_test_logs_show_and_render_tell_what_is() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.apply().expect(0);
    let before = everything(&host);
    let line = work.run(&["status", "--json"]).expect(0).of("environment")[0].clone();
    let seen = [
        "name",
        "target",
        "stage",
        "health",
        "drifted",
        "failed",
        "in_progress",
        "suspended",
        "protected",
        "endpoints",
    ];
    let seen: Vec<_> = seen.iter().map(|key| line[key].clone()).collect();
    let endpoint = format!("http://{}:8080", host.ipv4);
    assert_eq!(
        json!(seen),
        json!(["production", "registered", "running", "healthy", [], null, null, false, false, [endpoint]])
    );
    assert_eq!(work.run(&["list", "--json"]).expect(0).of("environment")[0]["stage"], "running");
    assert!(work.run(&["list"]).expect(0).stdout.contains("running"));

    let checks = work.run(&["test", "--json"]).expect(0).of("check");
    assert_eq!(checks.iter().map(|check| check["passed"] == true).collect::<Vec<_>>(), [true, true]);
    assert!(!work.run(&["logs", "production", "--json"]).expect(0).of("output").is_empty());
    let said = work.run(&["logs", "production", "web", "--tail", "1"]).expect(0).stdout;
    assert!(said.starts_with("web-1") && !said.contains('\u{1b}'), "{said:?}");
    for arguments in [&["logs", "production", "wb"][..], &["exec", "production", "wb", "--", "true"]] {
        let run = work.run(arguments).expect(64);
        assert!(run.stderr.contains("Did you mean `web`?"), "{}", run.stderr);
    }
    assert!(work.run(&["show", "production"]).expect(0).stdout.contains("stable_for: 1s"));
    work.run(&["render", "production", "-o", "out", "--json"]).expect(0);
    assert_eq!(
        (work.read("out/html/index.html"), work.read("out/compose.yaml")),
        ("page one\n".into(), work.read("app/compose.yaml"))
    );
    assert_eq!(everything(&host), before);

    host.shell("docker stop -t 0 $(docker ps -q)");
    let failed = work.run(&["test", "--json"]).expect(1);
    assert!(failed.of("check").iter().all(|check| check["passed"] == false));
    assert_eq!(failed.outcome(), "failed");
    let line = work.run(&["status", "--json"]).expect(0).of("environment")[0].clone();
    assert_eq!((&line["health"], &line["drifted"]), (&json!("unhealthy"), &json!(["services"])));
    assert_eq!(work.run(&["status", "--exit-code", "--json"]).expect(1).reasons(), ["unhealthy"]);
}

#[test]
fn offline_needs_neither_host_nor_secrets() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.edit(
        "app/compose.yaml",
        "    image: demo:1\n",
        "    image: demo:1\n    environment: { TOKEN: \"${TOKEN}\" }\n",
    );
    work.edit("deployment.yaml", "archives", "variables: { TOKEN: { from_env: SHOP_TOKEN } }, archives");
    let unverified = summary(&work.run(&["plan", "--offline", "--json"]).expect(0));
    assert!(unverified.iter().all(|step| step.ends_with(" unverified")), "{unverified:?}");

    assert_eq!(work.apply().expect(1).reasons(), ["secret-unresolved"]);
    Work::finish(work.command(&["apply", "--json"]).env("SHOP_TOKEN", "secret")).expect(0);
    host.fault("sshd-stop", &[]);
    let plan = work.run(&["plan", "--offline", "--json"]).expect(0);
    assert_eq!(plan.of("plan")[0]["uncompared"], json!({ "production": [".env"] }));
    assert_eq!((plan.outcome().as_str(), summary(&plan).len()), ("planned", 0));
    assert_eq!(work.run(&["status", "--offline", "--json"]).expect(0).of("environment")[0]["stage"], "running");
    work.write("app/html/index.html", "page two\n");
    let plan = work.run(&["plan", "--offline", "--json", "--detailed-exitcode"]).expect(2);
    assert!(summary(&plan).contains(&"files update differs".to_owned()));
    assert_eq!(change(&plan, "html/index.html")["diff"], json!(null));
    assert!(plan.of("plan")[0]["observed_seconds_ago"].is_u64());

    // A host that does not answer is part of a status, which tells no health of it and fails.
    let line = work.run(&["status", "--json"]).expect(7).of("environment")[0].clone();
    assert!(line["unreachable"].as_str().is_some_and(|why| why.contains("refuse")), "{line}");
    assert_eq!((&line["stage"], &line["health"]), (&json!("running"), &json!("none")));
    assert_eq!(
        Work::finish(work.command(&["plan", "--json"]).env("SHOP_TOKEN", "secret")).expect(7).reasons(),
        ["connection-refused"]
    );
}
