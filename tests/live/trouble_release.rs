//! The release that the manifest wants is impossible. Problems that can be known early are reported before the running
//! release is stopped, and the fixed release goes live.

use crate::bed::{DEMO, Work, image};
use crate::trouble::{fails, fails_untouched, finishes, picture, running, use_demo_2, write_page};

const ARCHIVE: &str = "\"demo:1\": ./demo.tar";

#[test]
fn errors_that_this_machine_can_find_do_not_reach_the_host() {
    let (host, work) = running();
    write_page(&work, "page two");
    let good = work.read("deployment.yaml");
    let expect = |archives: &str, expected: (&str, i32, &str)| {
        work.edit("deployment.yaml", ARCHIVE, archives);
        fails_untouched(&host, &work, expected.0, expected.1, expected.2);
        work.write("deployment.yaml", &good);
    };
    work.write("note.txt", "not a tar archive\n");
    expect("\"demo:1\": ./note.txt", ("archive-invalid", 64, "note.txt"));
    expect("\"demo:9\": ./demo.tar", ("archive-invalid", 64, "demo:9"));
    work.write("half.tar", &std::fs::read(image("demo-1.tar")).expect("readable")[..100_000]);
    expect("\"demo:1\": ./half.tar", ("archive-invalid", 64, "half.tar"));

    work.edit("deployment.yaml", "directory: ./app", "directory: ./app, variables: { TOKEN: { from_env: NO_SUCH } }");
    fails_untouched(&host, &work, "secret-unresolved", 1, "NO_SUCH");
    work.write("deployment.yaml", &good);
    finishes(&host, &work, "page two");
}

#[test]
fn an_image_of_another_processor_is_refused() {
    let (host, work) = running();
    let (manifest, page) = (work.read("deployment.yaml"), host.page(8080).expect("served"));
    let started = host.shell("docker ps -q | xargs docker inspect -f '{{.State.StartedAt}}'");
    work.link("arm.tar", &image("demo-arm64.tar"));
    work.edit("deployment.yaml", ARCHIVE, "\"demo:arm\": ./arm.tar");
    work.edit("app/compose.yaml", "demo:1", "demo:arm");
    fails_untouched(&host, &work, "architecture-mismatch", 1, "arm64");
    assert_eq!(host.page(8080), Some(page));
    assert_eq!(host.shell("docker ps -q | xargs docker inspect -f '{{.State.StartedAt}}'"), started);

    work.write("deployment.yaml", manifest);
    work.edit("app/compose.yaml", "demo:arm", "demo:1");
    write_page(&work, "page two");
    finishes(&host, &work, "page two");
}

#[test]
fn the_old_release_serves_until_the_new_one_is_valid() {
    let (host, work) = running();
    let serving = || host.shell("docker ps -aq | xargs docker inspect -f '{{.Id}} {{.State.StartedAt}}'");
    let files = || host.shell("cd /opt/deployer/*; find . -type f -exec sha256sum {} +");
    let before = (serving(), files());
    write_page(&work, "page two");

    // A key that Docker Compose does not have is found on this machine, and a missing service on the host.
    work.write("app/compose.yaml", DEMO.replace("ports:", "portz:"));
    fails(work.apply(), "application-invalid", 64, "portz");
    work.write("app/compose.yaml", DEMO.replace("    ports:", "    depends_on: [nobody]\n    ports:"));
    fails(work.apply(), "compose-invalid", 1, "nobody");
    assert_eq!((serving(), files()), before);
    // An image that does not exist: the registry is this host's own closed port.
    work.write("app/compose.yaml", DEMO.replace("image: demo:1", "image: localhost:9/none:1"));
    fails(work.apply(), "image-unavailable", 1, "localhost:9/none:1");
    assert_eq!((serving(), files()), before);
    // A port that another process holds is found before the old release is stopped.
    host.fault("port-taken", &["on", "8081"]);
    work.write("app/compose.yaml", DEMO.replace("8080:8080", "8081:8080"));
    fails(work.apply(), "port-taken", 1, "8081/tcp");
    assert_eq!((serving(), files()), before);
    // The same failure again, now that the release is staged on the host: the plan predicts it.
    let run = fails(work.apply(), "port-taken", 1, "8081/tcp");
    assert!(run.of("step").is_empty(), "nothing begins: {}", run.stdout);
    // The status has what runs, not the release that is staged.
    let status = work.run(&["status", "--json"]).of("environment").remove(0);
    let endpoint = format!("http://{}:8080", host.ipv4);
    assert_eq!(status["endpoints"], serde_json::json!([endpoint]), "{status}");
    assert_eq!(status["services"], serde_json::json!({ "web": "healthy" }), "{status}");
    assert_eq!((serving(), files()), before);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    // Another port works, while the previous release is still staged.
    work.write("app/compose.yaml", DEMO.replace("8080:8080", "8082:8080"));
    work.edit("deployment.yaml", "port: 8080", "port: 8082");
    work.apply().expect(0);
    assert_eq!(host.page(8082).as_deref(), Some("page two\n"));
    work.write("app/compose.yaml", DEMO.replace("8080:8080", "8081:8080"));
    work.edit("deployment.yaml", "port: 8082", "port: 8080");

    host.fault("port-taken", &["off", "8081"]);
    work.edit("deployment.yaml", "port: 8080", "port: 8081");
    work.apply().expect(0);
    assert_eq!(host.page(8081).as_deref(), Some("page two\n"));
    work.edit("deployment.yaml", "port: 8081", "port: 8080");
    work.write("app/compose.yaml", DEMO);
    finishes(&host, &work, "page two");
}

/// Makes the usual application with an image that ends as soon as it starts.
fn crashing(work: &Work) {
    work.link("crash.tar", &image("crash.tar"));
    work.edit("app/compose.yaml", "image: demo:1", "image: demo:crash");
    work.edit("deployment.yaml", ARCHIVE, "\"demo:crash\": ./crash.tar");
    work.edit("deployment.yaml", "timeout: 30s", "timeout: 5s");
    work.edit("deployment.yaml", "    checks:", "    rollback: never\n    checks:");
}

#[test]
fn a_crash_loop_is_unhealthy_with_its_last_lines_and_can_be_fixed() {
    let (host, work) = running();
    crashing(&work);
    fails(work.apply(), "unhealthy", 1, "demo: no database");
    let status = work.run(&["status", "--json"]).expect(0).of("environment").remove(0);
    assert_eq!(status["failed"]["reason"], "unhealthy", "{status}");

    // The same inputs fail again in the same way. Other inputs are staged again over the staged release.
    fails(work.apply(), "unhealthy", 1, "demo: no database");
    work.edit("deployment.yaml", "\"demo:crash\": ./crash.tar", ARCHIVE);
    work.edit("deployment.yaml", "timeout: 5s", "timeout: 30s");
    work.edit("app/compose.yaml", "demo:crash", "demo:1");
    write_page(&work, "page two");
    work.write("app/extra.txt", "one file more\n");
    finishes(&host, &work, "page two");
    let status = work.run(&["status", "--json"]).expect(0).of("environment").remove(0);
    assert_eq!((&status["failed"], &status["health"]), (&serde_json::Value::Null, &"healthy".into()), "{status}");
}

#[test]
fn a_check_that_fails_gates_running_and_files_of_a_failed_release_do_not_stay() {
    let (host, work) = running();
    work.edit("deployment.yaml", "path: /", "path: /, contains: \"page two\"");
    work.edit("deployment.yaml", "timeout: 30s", "timeout: 4s");
    work.edit("deployment.yaml", "    checks:", "    rollback: never\n    checks:");
    work.write("app/only-in-the-failed-one.txt", "soon gone\n");
    fails(work.apply(), "check-failed", 1, "page");
    assert!(host.holds("[ -e /opt/deployer/shop--production/only-in-the-failed-one.txt ]"));
    std::fs::remove_file(work.path("app/only-in-the-failed-one.txt")).expect("removed");
    write_page(&work, "page two");
    finishes(&host, &work, "page two");
    assert!(!host.holds("[ -e /opt/deployer/shop--production/only-in-the-failed-one.txt ]"));

    // Going back to the previous release is a release like any other.
    let before = picture(&host);
    use_demo_2(&work);
    work.edit("deployment.yaml", "contains: \"page two\"", "contains: \"page three\"");
    fails(work.apply(), "check-failed", 1, "page");
    work.edit("deployment.yaml", "contains: \"page three\"", "contains: \"page two\"");
    finishes(&host, &work, "page two");
    assert_ne!(picture(&host), before);
}
