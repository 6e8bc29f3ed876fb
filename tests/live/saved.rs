//! Saved plans: applied exactly, or refused with the names of the changed inputs and without any change.

use crate::bed::{BedHost, Run, Work};
use crate::scene::{everything, summary};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// Makes the application with a secret in its `.env`, which the runs are given.
fn shop(host: &BedHost) -> Work {
    let work = Work::demo(host);
    work.edit(
        "app/compose.yaml",
        "    image: demo:1\n",
        "    image: demo:1\n    environment: { TOKEN: \"${TOKEN}\", LEVEL: \"${LEVEL}\" }\n",
    );
    let variables = "variables: { TOKEN: { from_env: SHOP_TOKEN }, LEVEL: \"1\" }, archives";
    work.edit("deployment.yaml", "archives", variables);
    work
}

const TOKEN: &str = "a-canary-of-a-secret";

fn run(work: &Work, arguments: &[&str]) -> Run {
    with(work, TOKEN, arguments)
}

fn with(work: &Work, token: &str, arguments: &[&str]) -> Run {
    let mut command: Command = work.command(arguments);
    Work::finish(command.env("SHOP_TOKEN", token))
}

/// Asserts that an apply is stale and changes nothing, and returns the message of its only error.
#[track_caller]
fn stale(host: &BedHost, work: &Work, token: &str) -> String {
    let before = everything(host);
    let refused = with(work, token, &["apply", "p.plan", "--json"]).expect(5);
    assert_eq!((refused.outcome().as_str(), refused.reasons()), ("stale", vec!["plan-stale".to_owned()]));
    assert!(refused.of("plan").is_empty() && refused.of("step").is_empty());
    assert_eq!(everything(host), before);
    refused.of("error")[0]["message"].as_str().expect("a message").to_owned()
}

#[test]
fn a_saved_plan_is_done_exactly_or_refused_with_what_moved() {
    let host = BedHost::docker();
    let work = shop(&host);
    // A host without an owner has no key yet. A changed secret is still detected.
    let planned = run(&work, &["plan", "--out", "p.plan", "--json", "--detailed-exitcode"]).expect(2);
    let mode = std::fs::metadata(work.path("p.plan")).expect("saved").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let text = work.read("p.plan");
    assert!(!text.contains(TOKEN));
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let schema = serde_json::from_str(include_str!("../../schemas/plan.schema.json")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema").validate(&value).expect("as the schema says");
    assert_eq!(stale(&host, &work, "another-secret"), "The saved plan is stale: variable TOKEN changed here");

    // A comment, another checkout and another runner do not make the plan stale.
    work.edit("deployment.yaml", "project: shop\n", "project: shop # ours\n");
    let other = Work::empty();
    let mut copy = Command::new("cp");
    copy.args(["-a", "app", "deployment.yaml", "demo.tar", "p.plan"]).arg(other.directory.path());
    let copied = copy.current_dir(work.directory.path()).status();
    assert!(copied.expect("cp").success());
    let applied = run(&other, &["apply", "p.plan", "--json"]).expect(0);
    assert_eq!((applied.outcome().as_str(), summary(&applied)), ("changed", summary(&planned)));
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));

    // A plan can be applied once.
    let again = stale(&host, &work, TOKEN);
    assert!(again.contains("the host's serial went from 0 to "), "{again}");

    // One file is edited on the host after the plan.
    work.write("app/html/index.html", "page two\n");
    run(&work, &["plan", "--out", "p.plan"]).expect(0);
    host.shell(&format!("echo edited > {}/html/index.html", crate::scene::APP));
    let edited = stale(&host, &work, TOKEN);
    assert!(
        edited.starts_with("The saved plan is stale: html/index.html on the host went from 0644 sha256:"),
        "{edited}"
    );
    assert_eq!(host.page(8080).as_deref(), Some("edited\n"));
    let shown = work.run(&["show", "p.plan"]).expect(0).stdout;
    assert!(shown.starts_with("Plan of shop, made by ") && shown.contains("+page two"), "{shown}");

    // Each changed input is named. When the changes are reverted, the plan is valid again.
    run(&work, &["plan", "--out", "p.plan"]).expect(0);
    let manifest = work.read("deployment.yaml");
    work.edit("deployment.yaml", "LEVEL: \"1\"", "LEVEL: \"2\"");
    work.edit("deployment.yaml", "timeout: 30s", "timeout: 31s");
    work.write("app/html/more.html", "more\n");
    let moved = stale(&host, &work, TOKEN);
    let said = "file html/more.html was added here; setting health.timeout changed here; variable LEVEL changed here";
    assert_eq!(moved, format!("The saved plan is stale: {said}"));
    work.write("deployment.yaml", &manifest);
    std::fs::remove_file(work.path("app/html/more.html")).expect("removed");

    // For a kind without a step, the plan requires only that none is needed.
    host.shell("systemctl disable docker 2>/dev/null");
    let needed = stale(&host, &work, TOKEN);
    assert!(needed.contains("a step for engine is needed that is not in the plan"), "{needed}");
    host.shell("systemctl enable docker 2>/dev/null");
    assert_eq!(run(&work, &["apply", "p.plan", "--json"]).expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));

    // A plan without steps can be applied again and again.
    run(&work, &["plan", "--out", "none.plan", "--detailed-exitcode"]).expect(0);
    assert_eq!(run(&work, &["apply", "none.plan", "--json"]).expect(0).outcome(), "converged");
    assert_eq!(run(&work, &["apply", "none.plan", "--json"]).expect(0).outcome(), "converged");

    // The saved plan of a destruction is stale when the manifest no longer wants the destruction.
    work.edit("deployment.yaml", "    checks:", "    stage: destroyed\n    checks:");
    run(&work, &["plan", "--out", "p.plan", "--detailed-exitcode"]).expect(2);
    work.edit("deployment.yaml", "    stage: destroyed\n", "");
    let kept = stale(&host, &work, TOKEN);
    assert!(kept.contains("setting stage changed here"), "{kept}");
}

#[test]
fn a_workflow_sees_groups_and_masks_and_no_secret_elsewhere() {
    let host = BedHost::docker();
    let work = shop(&host);
    let mut command = work.command(&["apply"]);
    command.env("SHOP_TOKEN", TOKEN).env("GITHUB_ACTIONS", "true");
    for (name, file) in [("GITHUB_STEP_SUMMARY", "summary.md"), ("GITHUB_OUTPUT", "output")] {
        command.env(name, work.path(file));
    }
    let applied = Work::finish(&mut command).expect(0);
    let mask = format!("::add-mask::{TOKEN}");
    assert_eq!(applied.stderr.lines().next(), Some(mask.as_str()));
    let rest = applied.stderr.replacen(&mask, "", 1);
    let summary = work.read("summary.md");
    for text in [&rest, &applied.stdout, &summary, &work.read("output")] {
        assert!(!text.contains(TOKEN), "{text}");
    }
    let lines: Vec<&str> = rest.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(lines, ["::group::production", "::endgroup::"]);
    assert_eq!(work.read("output"), "outcome=changed\nexit-code=0\nchanges=4\n");
    assert!(summary.contains("| <code>production</code> | running | healthy |"), "{summary}");
}
