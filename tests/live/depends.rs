//! Several environments: a dependency comes first and is included, and its failure is reported as the cause.

use crate::bed::{BedHost, Run, Work, image};
use crate::scene::{containers, entry, several, steps};

/// Returns the position of the event at which a step of an environment reached a state.
fn position(run: &Run, environment: &str, kind: &str, state: &str) -> Option<usize> {
    run.of("step")
        .iter()
        .position(|step| step["environment"] == environment && step["kind"] == kind && step["state"] == state)
}

fn two(host: &BedHost, base: &str) -> Work {
    let work = Work::empty();
    let entries = entry(host, &work, "web", 8081, "    depends_on: [base]\n") + &entry(host, &work, "base", 8080, base);
    several(host, &work, &entries);
    work
}

#[test]
fn a_dependency_comes_first_and_is_included() {
    let host = BedHost::docker();
    let work = two(&host, "");
    let run = work.run(&["apply", "web", "--json"]).expect(0);
    let environments: Vec<_> = steps(&run).iter().map(|step| step["environment"].as_str().map(str::to_owned)).collect();
    assert_eq!(environments.first(), Some(&Some("base".to_owned())));
    assert!(position(&run, "base", "services", "applied") < position(&run, "web", "services", "started"));
    assert_eq!((host.page(8080).as_deref(), host.page(8081).as_deref()), (Some("base\n"), Some("web\n")));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // Only the dependency changed: only it is applied, and the environment that depends on it is not touched.
    let before = host.shell("docker inspect -f '{{.State.StartedAt}}' shop--web-web-1");
    work.write("base/html/index.html", "base two\n");
    let run = work.run(&["apply", "web", "--json"]).expect(0);
    assert!(steps(&run).iter().all(|step| step["environment"] == "base"));
    assert_eq!(host.shell("docker inspect -f '{{.State.StartedAt}}' shop--web-web-1"), before);
    assert_eq!(host.page(8080).as_deref(), Some("base two\n"));
}

#[test]
fn a_failing_dependency_blocks_and_its_cause_is_the_exit_code() {
    let host = BedHost::docker();
    let check = "    health: { timeout: 3s }\n    checks: [ { name: page, http: { port: 8080, path: /, contains: something else } } ]\n";
    let work = two(&host, check);
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["check-failed"]);
    assert!(position(&run, "web", "services", "blocked").is_some());
    assert_eq!(position(&run, "web", "services", "started"), None);
    assert_eq!(host.page(8081), None);
    work.edit("deployment.yaml", "something else", "base");
    work.apply().expect(0);
    assert_eq!(host.page(8081).as_deref(), Some("web\n"));

    let text = work.read("deployment.yaml");
    let (web, base) = text.split_once("  base:\n").expect("a base");
    work.write(
        "deployment.yaml",
        format!("{web}  base:\n{}", base.replace("application:", "ssh: { port: 9 }\n    application:")),
    );
    work.write("web/html/index.html", "web two\n");
    let run = work.apply().expect(7);
    assert_eq!(run.reasons(), ["connection-refused", "dependency-failed"]);
    assert_eq!(host.page(8081).as_deref(), Some("web\n"));
}

#[test]
fn two_environments_share_a_host_and_part_again() {
    let host = BedHost::docker();
    let work = Work::empty();
    let entries = entry(&host, &work, "one", 8080, "") + &entry(&host, &work, "two", 8081, "");
    several(&host, &work, &entries);
    work.apply().expect(0);
    assert_eq!((host.page(8080).as_deref(), host.page(8081).as_deref()), (Some("one\n"), Some("two\n")));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    let before = host.shell("docker inspect -f '{{.Id}} {{.State.StartedAt}}' shop--two-web-1; find /opt/deployer/shop--two -printf '%p %T@\\n'");
    work.run(&["destroy", "one", "--allow-destroy", "one", "--json"]).expect(0);
    assert_eq!(containers(&host).len(), 1);
    let after = host.shell("docker inspect -f '{{.Id}} {{.State.StartedAt}}' shop--two-web-1; find /opt/deployer/shop--two -printf '%p %T@\\n'");
    assert_eq!(after, before);
    assert!(host.holds("docker image inspect demo:1 >/dev/null"));
    assert_eq!(work.run(&["apply", "two", "--json"]).expect(0).outcome(), "converged");
}

/// Docker does not know that a release without containers needs its image.
#[test]
fn an_image_that_another_environment_needs_stays() {
    let host = BedHost::docker();
    let work = Work::empty();
    let few = "    keep_releases: 1\n";
    let entries = entry(&host, &work, "one", 8080, few)
        + &entry(&host, &work, "two", 8081, "")
        + &entry(&host, &work, "three", 8082, "");
    several(&host, &work, &entries);
    work.link("demo-2.tar", &image("demo-2.tar"));
    work.apply().expect(0);
    host.shell("docker rm -f shop--two-web-1");

    // `one` gives up its release, and `three` is removed from the host.
    work.edit("one/compose.yaml", "demo:1", "demo:2");
    let text = work.read("deployment.yaml").replacen("\"demo:1\": ./demo.tar", "\"demo:2\": ./demo-2.tar", 1);
    work.write("deployment.yaml", text);
    work.run(&["apply", "one", "--json"]).expect(0);
    assert!(host.holds("docker image inspect demo:1"));
    work.run(&["destroy", "three", "--allow-destroy", "three", "--json"]).expect(0);
    assert!(host.holds("docker image inspect demo:1"));
    let run = work.run(&["apply", "two", "--json"]).expect(0);
    assert!(steps(&run).iter().all(|step| step["kind"] != "images"), "{}", run.stdout);
    assert_eq!(host.page(8081).as_deref(), Some("two\n"));

    // When no other environment needs it, the next release of the first one removes the image.
    work.run(&["destroy", "two", "--allow-destroy", "two", "--json"]).expect(0);
    work.write("one/html/index.html", "one more\n");
    work.run(&["apply", "one", "--json"]).expect(0);
    assert!(!host.holds("docker image inspect demo:1"));
    assert!(host.holds("docker image inspect demo:2"));
}
