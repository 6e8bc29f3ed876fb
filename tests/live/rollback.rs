//! Releases that fail are replaced by the last healthy one, automatically or by name, and are not tried again until
//! something about them changes.

use crate::bed::{BedHost, Work, image};
use crate::scene::{APP, STATE, change, containers, duo};
use crate::trouble::fails;

/// Makes `web` run an image that ends as soon as it starts.
fn crash(work: &Work) {
    work.link("crash.tar", &image("crash.tar"));
    let compose = work.read("app/compose.yaml").replacen("image: demo:1", "image: demo:crash", 1);
    work.write("app/compose.yaml", compose);
    work.edit("deployment.yaml", "\"demo:1\": ./demo.tar", "\"demo:1\": ./demo.tar, \"demo:crash\": ./crash.tar");
    work.edit("deployment.yaml", "timeout: 30s", "timeout: 5s");
}

fn status(work: &Work) -> serde_json::Value {
    work.run(&["status", "--json"]).expect(0).of("environment").remove(0)
}

#[test]
fn a_release_that_crashes_is_replaced_by_the_healthy_one_and_not_tried_again() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.apply().expect(0);
    let before = containers(&host);

    crash(&work);
    work.write("app/only-in-the-failed-one.txt", "soon gone\n");
    let run = work.apply().expect(1);
    assert_eq!((run.outcome().as_str(), run.reasons()), ("rolled-back", vec!["rolled-back".to_owned()]));
    assert!(run.stdout.contains("demo: no database"), "the last words: {}", run.stdout);
    assert_eq!(containers(&host)["side"], before["side"], "nothing changed about side");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert!(host.holds(&format!("[ ! -e {APP}/only-in-the-failed-one.txt ]")));
    let seen = status(&work);
    assert_eq!((&seen["health"], &seen["failed"]["reason"]), (&"healthy".into(), &"rolled-back".into()), "{seen}");

    let held = containers(&host);
    let again = work.apply().expect(1);
    assert_eq!(again.reasons(), ["release-rejected"]);
    assert!(again.of("step").is_empty(), "nothing is tried: {}", again.stdout);
    assert_eq!(again.of("plan")[0]["converged"], serde_json::json!([]), "{}", again.stdout);
    let said = work.run(&["apply"]).expect(1);
    assert!(said.stderr.contains("is not tried again") && !said.stdout.contains("No changes"), "{said:?}");
    assert_eq!(containers(&host), held);
    assert_eq!(status(&work)["failed"]["reason"], "rolled-back");
    // An application that cannot be read was not compared, so its failure is not over.
    let compose = work.read("app/compose.yaml");
    work.write("app/compose.yaml", compose.replacen("image:", "imgae:", 1));
    assert_eq!(status(&work)["failed"]["reason"], "rolled-back");
    work.write("app/compose.yaml", &compose);

    // Drift of the live release is still corrected.
    host.shell(&format!("echo hacked >{APP}/side/index.html; docker rm -f $(docker ps -q)"));
    let run = work.apply();
    assert_eq!(run.reasons(), ["release-rejected"], "{}", run.stdout);
    assert_eq!(host.page(8081).as_deref(), Some("side one\n"));
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));

    let retried = work.run(&["apply", "--json", "--retry"]).expect(1);
    assert_eq!(retried.reasons(), ["rolled-back"]);
    let compose = work.read("app/compose.yaml").replace("demo:crash", "demo:1");
    work.write("app/compose.yaml", compose);
    work.write("app/html/index.html", "page two\n");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
    assert_eq!(status(&work)["failed"], serde_json::Value::Null);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_repair_is_not_a_release_to_go_back_to() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.apply().expect(0);
    work.write("app/html/index.html", "page two\n");
    work.apply().expect(0);
    for _ in 0..2 {
        host.shell(&format!("echo hacked >{APP}/html/index.html"));
        assert_eq!(work.apply().expect(0).outcome(), "changed");
    }
    let kept = host.shell(&format!("ls {STATE}/releases"));
    assert_eq!(kept.lines().count(), 2, "{kept}");

    // A mistake in the Compose file here disables no command about the live release.
    let compose = work.read("app/compose.yaml");
    work.write("app/compose.yaml", compose.replacen("image:", "imgae:", 1));
    work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    let run = work.run(&["status", "--json"]).expect(0);
    let seen = run.of("environment").remove(0);
    assert_eq!((&seen["health"], &seen["drifted"]), (&"healthy".into(), &serde_json::json!([])), "{seen}");
    assert!(run.of("warning")[0]["message"].as_str().is_some_and(|text| text.contains("imgae")), "{}", run.stdout);
    work.run(&["logs", "production"]).expect(0);
    work.run(&["exec", "production", "web", "--", "true"]).expect(0);
    work.run(&["restart", "production", "--json"]).expect(0);
    for command in ["suspend", "resume", "history"] {
        work.run(&[command, "production"]).expect(0);
    }
    fails(work.apply(), "application-invalid", 64, "imgae");
    // The release that was left is not tried again, also after the mistake is corrected.
    work.write("app/compose.yaml", &compose);
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    work.write("app/compose.yaml", compose.replacen("image:", "imgae:", 1));
    work.run(&["destroy", "production", "--allow-destroy", "production", "--json"]).expect(0);
    assert!(containers(&host).is_empty() && host.holds(&format!("[ ! -e {STATE}/current.json ]")));
}

#[test]
fn somebody_goes_back_by_name_and_stays_there_until_something_changes() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.edit("deployment.yaml", "    health:", "    keep_releases: 3\n    health:");
    work.apply().expect(0);
    let refused = work.run(&["rollback", "production", "--yes", "--json"]).expect(1);
    assert_eq!(refused.reasons(), ["release-unknown"]);
    let first = host.shell(&format!("ls {STATE}/releases")).trim().to_owned();

    // The same name for another image, as after a push by a build server.
    let names = host.shell("docker image inspect -f '{{.Id}}' demo:1");
    work.link("demo.tar", &image("demo-2.tar"));
    work.edit("deployment.yaml", "demo:1", "demo:2");
    work.edit("app/compose.yaml", "demo:1", "demo:2");
    work.write("app/html/index.html", "page two\n");
    work.apply().expect(0);
    host.shell("docker tag demo:2 demo:1");
    let id = || host.shell("docker image inspect -f '{{.Id}}' demo:1");
    let images = || host.shell("docker ps -q | xargs docker inspect -f '{{.Image}}' | sort -u");
    let tagged = id();
    let side = containers(&host)["side"].clone();

    let plan = work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    assert_eq!(change(&plan, "release")["to"], first.as_str());
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert_eq!(images(), names, "the image came back with the files");
    assert_eq!(id(), tagged, "its name may be another environment's");
    assert_ne!(containers(&host)["side"], side);

    let history = work.run(&["history", "production", "--json"]).expect(0).of("release");
    assert_eq!((history.len(), &history[1]["release"]), (2, &first.as_str().into()), "{history:?}");
    assert_eq!((&history[1]["live"], &history[0]["live"]), (&true.into(), &false.into()));
    assert!(history[0]["rejected"].as_str().is_some_and(|why| why.contains("rolled back to")), "{history:?}");

    let pinned = containers(&host);
    let run = work.apply().expect(0);
    assert_eq!(run.outcome(), "converged", "{}", run.stdout);
    assert!(run.stdout.contains("rolled back to"), "{}", run.stdout);
    let plan = &run.of("plan")[0];
    let stays = serde_json::json!([{ "environment": "production", "why": "rolled-back", "release": first }]);
    assert_eq!((&plan["converged"], &plan["unchanged"]), (&serde_json::json!([]), &stays));
    let already = work.run(&["rollback", "production", "--to", &first, "--yes", "--json"]).expect(0);
    assert_eq!(already.of("plan")[0]["unchanged"][0]["why"], "already-live");
    assert_eq!(containers(&host), pinned);

    work.write("app/html/index.html", "page three\n");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page three\n"));
    let again = work.run(&["rollback", "production", "--to", &first, "--yes", "--json"]).expect(0);
    assert_eq!(again.outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));

    // After four more releases, only three are kept, and the image that only a removed release ran is removed with it.
    for page in ["four", "five", "six", "seven"] {
        work.write("app/html/index.html", format!("page {page}\n"));
        work.apply().expect(0);
    }
    assert_eq!(host.shell(&format!("ls {STATE}/releases | wc -l")).trim(), "3");
    assert!(host.holds(&format!("! docker image inspect {} >/dev/null 2>&1", names.trim())), "an old image stays");
    let gone = work.run(&["rollback", "production", "--to", &first, "--yes", "--json"]).expect(1);
    assert_eq!(gone.reasons(), ["release-unknown"]);
}
