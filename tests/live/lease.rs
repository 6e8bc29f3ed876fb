//! One owner at a time: a second run waits or shows the owner, a dead run loses its lease, and a late run is
//! refused.

use crate::bed::{Run, Work};
use crate::scene::containers;
use crate::trouble::Point::{Began, Waiting};
use crate::trouble::{Underway, finished, running, write_page};

/// Returns a copy of the application and manifest in another directory with its own store, which simulates another
/// runner.
fn another(work: &Work) -> Work {
    let other = Work::empty();
    for file in ["deployment.yaml", "app/compose.yaml", "app/html/index.html"] {
        other.write(file, work.read(file));
    }
    other.link("demo.tar", &std::fs::read_link(work.path("demo.tar")).expect("a link"));
    other
}

#[test]
fn two_runners_take_turns_and_one_that_stood_still_is_refused() {
    let (host, work) = running();
    write_page(&work, "page two");
    let other = another(&work);

    let mut first = Underway::apply(&work);
    assert!(first.reach(Began("files", 0)));
    first.signal("-STOP");
    let busy = other.run(&["apply", "--json", "--wait", "0s"]).expect(4);
    assert_eq!((busy.outcome().as_str(), busy.reasons()), ("busy", vec!["lease-held".to_owned()]));
    let status = other.run(&["status", "--json"]).expect(0).of("environment").remove(0);
    let owner = status["in_progress"].as_str().expect("an owner").to_owned();
    assert!(owner.contains("deployer apply, ") && owner.contains(", pid "), "{owner}");
    first.signal("-CONT");
    first.end().expect(0);
    assert_eq!(other.apply().expect(0).outcome(), "converged");

    // The lease expires while the first run waits for its services: the second run takes over, and the first is
    // refused.
    work.edit("app/compose.yaml", "http://127.0.0.1:8080/", "http://127.0.0.1:9/");
    let mut first = Underway::apply(&work);
    assert!(first.reach(Waiting));
    // With the same store, which has the step of the living run: it is not called interrupted, and nothing is planned.
    let busy = work.run(&["apply", "--wait", "2s"]).expect(4);
    let said = format!("{}{}", busy.stdout, busy.stderr);
    assert!(said.contains("production is locked by deployer apply, ") && said.contains("; waiting 2 s"), "{said}");
    assert!(said.contains("error: production is locked by deployer apply, "), "{said}");
    assert!(!said.contains("interrupted") && !said.contains("update"), "{said}");
    first.signal("-STOP");
    let begun = std::time::Instant::now();
    let second = other.run(&["apply", "--json", "--wait", "3m"]).expect(0);
    assert_eq!(second.outcome(), "changed");
    assert!(begun.elapsed().as_secs() > 40, "taken over after {:?}", begun.elapsed());
    let serving = containers(&host);
    first.signal("-CONT");
    let late = first.end().expect(4);
    assert_eq!(late.reasons(), ["lease-lost"], "{}", late.stdout);
    assert_eq!(containers(&host), serving);
    finished(&host, &other, "page two");

    // Both run at once, each with its own page: they take turns, and the host matches one of them.
    work.write("app/compose.yaml", other.read("app/compose.yaml"));
    write_page(&work, "page of one");
    write_page(&other, "page of the other");
    let mut one = Underway::apply(&work);
    assert!(one.reach(Began("files", 0)));
    other.apply().expect(0);
    one.end().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page of the other\n"));
    assert_eq!(containers(&host).len(), 1);
}

#[test]
fn a_run_whose_connection_broke_does_not_continue_after_another_run() {
    for point in [Began("files", 0), Waiting] {
        let (host, work) = running();
        let other = another(&work);
        write_page(&other, "page two");
        work.edit("app/compose.yaml", "http://127.0.0.1:8080/", "http://127.0.0.1:9/");
        let mut first = Underway::apply(&work);
        assert!(first.reach(point));
        first.signal("-STOP");
        other.run(&["unlock", "production", "--yes", "--json"]).expect(0);
        assert_eq!(other.apply().expect(0).outcome(), "changed");
        let serving = containers(&host);
        host.shell("kill $(pgrep -u deploy)");
        first.signal("-CONT");
        let late = first.end().expect(4);
        assert_eq!(late.reasons(), ["lease-lost"], "{}", late.stdout);
        assert_eq!(containers(&host), serving);
        finished(&host, &other, "page two");
    }
}

#[test]
fn a_lease_can_be_taken_away() {
    let (host, work) = running();
    write_page(&work, "page two");
    let other = another(&work);
    assert!(other.run(&["unlock", "production", "--json"]).expect(0).stdout.contains("production is not locked"));

    let mut first = Underway::apply(&work);
    assert!(first.reach(Began("files", 0)));
    first.signal("-STOP");
    assert_eq!(other.run(&["unlock", "production", "--json"]).expect(6).reasons(), ["consent-missing"]);
    assert_eq!(other.run(&["unlock", "production", "--yes", "--json"]).expect(0).outcome(), "changed");
    assert_eq!(other.apply().expect(0).outcome(), "changed");
    first.signal("-CONT");
    assert_eq!(first.end().expect(4).reasons(), ["lease-lost"]);
    finished(&host, &other, "page two");
}

/// Runs deployer on a runner whose clock is an hour behind.
fn behind(work: &Work, arguments: &[&str]) -> Run {
    let mut command = std::process::Command::new("faketime");
    command
        .args(["-f", "-3600s", env!("CARGO_BIN_EXE_deployer")])
        .args(arguments)
        .current_dir(work.directory.path())
        .env_clear()
        .env("PATH", std::env::var("PATH").expect("a PATH"))
        .env("HOME", work.path("home"))
        .env("DONT_FAKE_MONOTONIC", "1")
        .stdin(std::process::Stdio::null());
    Work::finish(&mut command)
}

#[test]
fn runners_whose_clocks_are_an_hour_apart_agree() {
    let (host, work) = running();
    let other = another(&work);
    assert_eq!(behind(&other, &["apply", "--json"]).expect(0).outcome(), "converged");
    write_page(&other, "page two");
    assert_eq!(behind(&other, &["apply", "--json"]).expect(0).outcome(), "changed");
    finished(&host, &other, "page two");

    // The host's own order decides which release is the previous one, not the time in its name.
    work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    write_page(&work, "page three");
    work.edit("deployment.yaml", "    health:", "    keep_releases: 2\n    health:");
    work.apply().expect(0);
    let kept = work.run(&["history", "production", "--json"]).expect(0).of("release");
    assert_eq!(kept.iter().filter(|release| release["kept"] == true).count(), 2, "{kept:?}");
    assert_eq!(behind(&other, &["rollback", "production", "--yes", "--json"]).expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"), "the newer of the two before");
}
