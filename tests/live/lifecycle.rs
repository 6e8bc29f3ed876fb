//! The lifecycle commands in any order: each moves forward to the stage of its name, and never back.

use crate::bed::{BedHost, Run, Work, bed_value};
use crate::scene::{APP, containers, everything, traffic};
use serde_json::Value;

fn stage(work: &Work) -> Value {
    work.run(&["status", "--json"]).expect(0).of("environment")[0]["stage"].clone()
}

fn go(work: &Work, command: &str) -> String {
    work.run(&[command, "production", "--json"]).expect(0).outcome()
}

#[test]
fn configure_release_run_and_release_again() {
    let host = BedHost::bare();
    let work = Work::demo(&host);
    assert_eq!(stage(&work), "created");
    assert_eq!(go(&work, "configure"), "changed");
    assert_eq!(stage(&work), "configured");
    assert!(host.holds("docker compose version") && host.holds(&format!("[ ! -e {APP} ]")));
    assert_eq!(go(&work, "configure"), "converged");

    assert_eq!(go(&work, "release"), "changed");
    assert_eq!(stage(&work), "released");
    assert_eq!(host.shell("docker ps -aq"), "");
    assert!(host.holds("docker image inspect demo:1 >/dev/null"));
    assert_eq!(go(&work, "release"), "converged");

    assert_eq!(go(&work, "run"), "changed");
    assert_eq!(stage(&work), "running");
    let before = containers(&host);
    for command in ["configure", "release", "run"] {
        assert_eq!(go(&work, command), "converged");
    }
    assert_eq!(containers(&host), before);

    work.write("app/html/index.html", "page two\n");
    assert_eq!(go(&work, "release"), "changed");
    assert_eq!((host.page(8080).as_deref(), containers(&host)), (Some("page one\n"), before));
    assert_eq!(stage(&work), "running");
    assert_eq!(go(&work, "release"), "converged");
    assert_eq!(go(&work, "run"), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn apply_stops_at_the_given_stage_and_edits_may_come_between() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    let to = |stage: &str| work.run(&["apply", "--to", stage, "--json"]).expect(0).outcome();
    assert_eq!(to("created"), "converged");
    assert_eq!(to("provisioned"), "changed");
    assert_eq!(stage(&work), "configured");
    assert_eq!(to("released"), "changed");
    assert_eq!(stage(&work), "released");
    assert_eq!(host.shell("docker ps -aq"), "");

    // A release that was staged and never ran is replaced, and nothing of it is left behind.
    work.write("app/html/second.html", "never live\n");
    assert_eq!(to("released"), "changed");
    std::fs::remove_file(work.path("app/html/second.html")).expect("removed");
    work.write("app/html/index.html", "page two\n");
    assert_eq!(go(&work, "run"), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
    assert_eq!(host.shell(&format!("ls {APP}/html")), "index.html\n");
    assert_eq!(to("provisioned"), "converged");
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // The manifest changes back to the running release: the staged release is dropped.
    work.write("app/html/index.html", "page three\n");
    assert_eq!(to("released"), "changed");
    work.write("app/html/index.html", "page two\n");
    let before = containers(&host);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(containers(&host), before);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

const MANIFEST: &str = "# Ours\nversion: 1\nproject: shop # the shop\nenvironments:\n  # The first\n  first:\n    \
                        registered: { address: 192.0.2.1 } # not there\n    stage: created\n";

fn manifest_only() -> Work {
    let work = Work::empty();
    work.write("deployment.yaml", MANIFEST);
    work.write("app/compose.yaml", crate::bed::DEMO);
    work.write("app/html/index.html", "page one\n");
    work
}

fn add(work: &Work, host: &BedHost, command: &str, more: &[&str]) -> Run {
    let key = bed_value("BED_KEY").display().to_string();
    let common =
        ["--host", &host.ipv4, "--ssh-user", "deploy", "--identity-file", &key, "--application", "./app", "--json"];
    work.run(&[&[command, "second"], &common[..], more].concat())
}

fn second(work: &Work) -> Value {
    let run = work.run(&["status", "second", "--json"]).expect(0);
    run.of("environment")[0].clone()
}

#[test]
fn create_writes_an_entry_and_contacts_nothing_and_register_follows() {
    let host = BedHost::docker();
    let work = manifest_only();
    let (connections, _) =
        traffic(&host, || assert_eq!(add(&work, &host, "create", &[]).expect(0).outcome(), "changed"));
    assert_eq!(connections, 0);
    let created = work.read("deployment.yaml");
    assert!(created.starts_with(MANIFEST), "{created}");
    assert!(created.contains(&host.ipv4) && !created.contains("host_key"), "{created}");
    work.run(&["check", "--json"]).expect(0);
    assert_eq!(work.run(&["list", "--json"]).expect(0).of("environment")[1]["stage"], "created");
    add(&work, &host, "create", &[]).expect(64);
    assert_eq!(work.read("deployment.yaml"), created);

    assert_eq!(add(&work, &host, "register", &[]).expect(7).reasons(), ["host-key-unknown"]);
    assert_eq!(work.read("deployment.yaml"), created);
    assert!(host.holds("[ ! -e /var/lib/deployer ]"));
    add(&work, &host, "register", &["--accept-new-host-keys"]).expect(0);
    let registered = work.read("deployment.yaml");
    assert!(registered.starts_with(MANIFEST) && registered.contains(&host.host_key()), "{registered}");
    assert_eq!(add(&work, &host, "register", &[]).expect(0).outcome(), "converged");
}

#[test]
fn register_checks_the_key_and_marks_the_host() {
    let host = BedHost::docker();
    let work = manifest_only();
    let untouched = everything(&host);
    assert_eq!(add(&work, &host, "register", &[]).expect(7).reasons(), ["host-key-unknown"]);
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPN3M3owTDwGF8rgQMqxZRIUe/gapxvANBAQwOfYuXgq";
    assert_eq!(add(&work, &host, "register", &["--host-key", other]).expect(7).reasons(), ["host-key-changed"]);
    assert_eq!((work.read("deployment.yaml"), everything(&host)), (MANIFEST.to_owned(), untouched));

    let pin = host.host_key();
    assert_eq!(add(&work, &host, "register", &["--host-key", &pin]).expect(0).outcome(), "changed");
    let text = work.read("deployment.yaml");
    assert!(text.starts_with(MANIFEST) && text.contains(&pin), "{text}");
    // Docker was installed before: the stage depends on the state of the host, not on deployer's actions.
    assert_eq!(second(&work)["stage"], "configured");
    assert!(host.holds("[ -s /var/lib/deployer/shop--second/marker.json ]"));
    assert_eq!(containers(&host).len(), 0);
}
