//! Edits of the host by hand: they are detected as drift and corrected, and nothing else is touched.

use crate::bed::{BedHost, Work};
use crate::scene::{APP, STATE, change, containers, duo, summary};

/// Breaks a converged host by `hand`, and asserts that the plan names the drift, the apply corrects it, and the other
/// service is not touched.
#[track_caller]
fn corrected(host: &BedHost, work: &Work, hand: &str, planned: &[&str]) {
    let before = containers(host);
    host.shell(hand);
    let plan = work.run(&["plan", "--json", "--detailed-exitcode"]).expect(2);
    assert_eq!(summary(&plan), planned, "{hand}");
    assert_eq!(work.apply().expect(0).outcome(), "changed", "{hand}");
    let after = containers(host);
    assert_eq!(after["web"], before["web"], "{hand}");
    assert!(after.contains_key("side"), "{hand}");
    assert_eq!(host.page(8081).as_deref(), Some("side one\n"), "{hand}");
    assert_eq!(work.apply().expect(0).outcome(), "converged", "{hand}");
}

#[test]
fn files_changed_by_hand_are_corrected_and_read_again() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.apply().expect(0);
    let side = containers(&host)["side"].clone();

    host.shell(&format!("echo hacked >{APP}/side/index.html"));
    let plan = work.run(&["plan", "--json"]).expect(0);
    let hacked = change(&plan, "side/index.html");
    assert_eq!(
        (&hacked["diff"], &hacked["note"]),
        (&"@@ -1 +1 @@\n-hacked\n+side one\n".into(), &"restarts side".into())
    );
    let drifted = work.run(&["status", "--json"]).expect(0).of("environment")[0]["drifted"].clone();
    assert_eq!(drifted[0], "files");
    corrected(&host, &work, ":", &["files update drifted", "services update follows files"]);
    assert_ne!(containers(&host)["side"], side);

    let files = ["files update drifted", "services update follows files"];
    corrected(&host, &work, &format!("rm {APP}/side/index.html"), &files);
    corrected(&host, &work, &format!("chmod 600 {APP}/side/index.html"), &files);
    assert_eq!(host.shell(&format!("stat -c %a {APP}/side/index.html")), "644\n");
    corrected(
        &host,
        &work,
        &format!("mv {APP}/side/index.html {APP}/i; ln -s ../i {APP}/side/index.html; echo no >{APP}/i"),
        &files,
    );
    assert!(host.holds(&format!("[ ! -L {APP}/side/index.html ]")));
    corrected(&host, &work, &format!("rm {APP}/side/index.html; mkdir {APP}/side/index.html"), &files);
    corrected(&host, &work, &format!("rm -r {APP}/side"), &files);
}

#[test]
fn containers_changed_by_hand_are_corrected() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.apply().expect(0);
    let side = "$(docker ps -aq --filter label=com.docker.compose.service=side)";
    let drifted = ["services update drifted"];
    corrected(&host, &work, &format!("docker stop -t 0 {side}"), &drifted);
    corrected(&host, &work, &format!("docker kill {side}"), &drifted);
    corrected(&host, &work, &format!("docker rm -f {side}"), &drifted);
    corrected(&host, &work, &format!("docker pause {side}"), &drifted);
    assert_eq!(containers(&host).len(), 2);
}

#[test]
fn losses_of_the_engine_and_of_our_records_are_restored() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.apply().expect(0);

    host.shell("docker rm -f $(docker ps -aq); docker image rm demo:1");
    let plan = work.run(&["plan", "--json"]).expect(0);
    assert_eq!(summary(&plan), ["images create missing", "services update drifted"]);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8081).as_deref(), Some("side one\n"));

    host.shell("systemctl stop docker.socket docker.service");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    host.shell("systemctl disable docker.service");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.shell("systemctl is-enabled docker.service"), "enabled\n");

    host.shell(&format!("rm -r {STATE}"));
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    host.shell(&format!("rm -r {APP}"));
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn differences_left_to_the_host_stay_and_wanted_changes_come() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.manifest(&host, "    drift: { policy: detect }\n");
    work.apply().expect(0);
    let edit = format!("echo hacked >{APP}/side/index.html; systemctl disable -q docker.service");
    host.shell(&edit);
    let plan = work.run(&["plan", "--json", "--detailed-exitcode"]).expect(0);
    let left = |run: &crate::bed::Run| {
        let left = run.of("plan")[0]["left"].as_array().expect("a list").clone();
        left.iter().map(|it| format!("{} {}", it["why"], it["kind"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!((summary(&plan).len(), left(&plan)), (0, vec!["detect engine".to_owned(), "detect files".to_owned()]));
    let status = work.run(&["status", "--json"]).expect(0).of("environment")[0].clone();
    assert_eq!(status["drifted"], serde_json::json!(["engine", "files"]));
    let apply = work.apply().expect(0);
    assert_eq!((apply.outcome().as_str(), apply.of("warning").len()), ("converged", 2));
    assert_eq!(host.page(8081).as_deref(), Some("hacked\n"));

    // Another release is wanted. The engine still only drifted.
    work.write("app/html/index.html", "page two\n");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8081).as_deref(), Some("side one\n"));
    assert!(!host.holds("systemctl -q is-enabled docker.service"));

    // The owner's own page stays, even with another release. Everything else is corrected.
    let ignore = "    drift: { ignore: [ { fact: \"files:side/*\", reason: the owner's } ] }\n";
    work.manifest(&host, ignore);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert!(host.holds("systemctl -q is-enabled docker.service"));
    host.shell(&format!("echo mine >{APP}/side/index.html; echo hacked >{APP}/html/index.html"));
    let side = containers(&host)["side"].clone();
    assert_eq!(left(&work.run(&["plan", "--json"]).expect(0)), ["ignored files"]);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!((host.page(8080).as_deref(), host.page(8081).as_deref()), (Some("page two\n"), Some("mine\n")));
    work.write("app/html/index.html", "page three\n");
    work.write("app/side/index.html", "side three\n");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!((host.page(8080).as_deref(), host.page(8081).as_deref()), (Some("page three\n"), Some("mine\n")));
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    work.manifest(&host, "");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8081).as_deref(), Some("side three\n"));
    assert_ne!(containers(&host)["side"], side);
}
