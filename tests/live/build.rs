//! Images that are built on the host from files that are sent with the application.

use crate::bed::{BedHost, Work};
use crate::scene::{STATE, containers};
use std::fs::File;
use std::process::Command;

/// A page from an image that is built from `web`, and a service that runs before it, built from the same directory.
const COMPOSE: &str = "services:
  web:
    build: { context: ./web, args: { GREETING: \"$GREETING\" } }
    restart: unless-stopped
    ports: [\"8080:8080\"]
  migrate:
    image: shop/migrate:1
    build: ./web
    command: [sh, -c, \"cat /www/index.html >>/data/seen\"]
    volumes: [\"./data:/data\"]
";

const DOCKERFILE: &str = "FROM scratch
ARG GREETING=hello
COPY busybox /bin/busybox
RUN [\"/bin/busybox\", \"--install\", \"/bin\"]
COPY . /context
RUN mkdir /www && echo \"$GREETING $(cat /context/page)\" >/www/index.html
STOPSIGNAL SIGKILL
CMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]
";

/// Returns the application, with `variables` in its manifest.
fn built(host: &BedHost, variables: &str) -> Work {
    let work = Work::demo(host);
    work.write("app/compose.yaml", COMPOSE);
    work.write("app/web/Dockerfile", DOCKERFILE);
    work.write("app/web/page", "one");
    work.write("app/web/.dockerignore", "private\n");
    work.write("app/web/private", "not for the image");
    work.edit(
        "deployment.yaml",
        "archives: { \"demo:1\": ./demo.tar }",
        &format!("before: [migrate], variables: {{ {variables} }}"),
    );
    let busybox = File::create(work.path("app/web/busybox")).expect("a file");
    let copied = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
        .args(["shell", &host.name, "cat", "/bin/busybox"])
        .stdout(busybox)
        .status();
    assert!(copied.expect("tests/bed starts").success());
    Command::new("chmod").arg("+x").arg(work.path("app/web/busybox")).status().expect("chmod starts");
    work
}

fn images(host: &BedHost) -> usize {
    host.shell("docker image ls -q --no-trunc | sort -u | grep -c .").trim().parse().expect("a number")
}

#[test]
fn a_build_follows_its_context_and_nothing_else() {
    let host = BedHost::docker();
    let work = built(&host, "GREETING: hi");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hi one\n"));
    assert_eq!(host.shell("cat /opt/deployer/shop--production/data/seen"), "hello one\n");
    assert!(host.holds("docker run --rm shop--production-web [ -e /context/page ]"));
    assert!(host.holds("docker run --rm shop--production-web [ ! -e /context/private ]"), "left out of the image");
    let running = containers(&host);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(containers(&host), running);

    // A file next to the context causes no build.
    work.write("app/notes", "of no use\n");
    let run = work.apply().expect(0);
    assert!(run.of("step").iter().all(|step| step["kind"] != "images"), "{}", run.stdout);
    assert_eq!(containers(&host), running);

    work.write("app/web/page", "two");
    let plan = work.run(&["plan", "--json"]).expect(0).of("plan").remove(0);
    let images_step = plan["steps"].as_array().expect("steps").iter().any(|step| step["kind"] == "images");
    assert!(images_step, "{plan}");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hi two\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // A build argument with the value of a variable.
    work.edit("deployment.yaml", "GREETING: hi", "GREETING: hey");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hey two\n"));

    // A rollback uses the image of the previous release.
    work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hi two\n"));
    let again = work.apply().expect(0);
    assert!(again.of("step").is_empty(), "{}", again.stdout);

    // A missing image is built again from the files that were sent with the release.
    host.shell("rm -rf /opt/deployer/shop--production/web; docker rm -f $(docker ps -aq); docker image rm -f shop--production-web");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hi two\n"));

    // Images that no kept release uses are removed.
    work.edit("deployment.yaml", "    health:", "    keep_releases: 1\n    health:");
    work.write("app/web/page", "three");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hey three\n"));
    assert_eq!(images(&host), 2, "{}", host.shell("docker image ls -a"));
    assert_eq!(host.shell(&format!("sort -u {STATE}/built | wc -l")).trim(), "2");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    work.run(&["destroy", "production", "--allow-destroy", "production", "--json"]).expect(0);
    assert_eq!(host.shell("docker image ls -q"), "");
}

#[test]
fn a_build_that_fails_stops_nothing() {
    let host = BedHost::docker();
    let work = built(&host, "GREETING: hi");
    work.apply().expect(0);
    let running = containers(&host);
    work.edit("app/web/Dockerfile", "STOPSIGNAL", "RUN echo 'the cat is out' >&2 && false\nSTOPSIGNAL");
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["build-failed"]);
    assert!(run.stdout.contains("the cat is out"), "{}", run.stdout);
    assert_eq!((containers(&host), host.page(8080).as_deref()), (running.clone(), Some("hi one\n")));
    assert_eq!(work.apply().expect(1).reasons(), ["build-failed"]);

    work.write("app/web/Dockerfile", DOCKERFILE);
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hi one\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // An image that crashes is replaced by the previous one.
    work.edit("deployment.yaml", "timeout: 30s", "timeout: 5s");
    work.edit("app/web/Dockerfile", "CMD [", "CMD [\"false\", ");
    assert_eq!(work.apply().expect(1).reasons(), ["rolled-back"]);
    assert_eq!(host.page(8080).as_deref(), Some("hi one\n"));
    assert_eq!(work.apply().expect(1).reasons(), ["release-rejected"]);
    work.write("app/web/Dockerfile", DOCKERFILE);
    work.write("app/web/page", "two");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hi two\n"));
}

#[test]
fn the_older_builder_does_as_well_and_nothing_outside_is_built_from() {
    let host = BedHost::docker();
    let work = built(&host, "GREETING: hi, DOCKER_BUILDKIT: \"0\"");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hi one\n"));
    let label = "{{index .Config.Labels \"com.docker.compose.image.builder\"}}";
    assert_eq!(host.shell(&format!("docker image inspect -f '{label}' shop--production-web")).trim(), "classic");
    work.write("app/web/page", "two");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("hi two\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    let running = containers(&host);
    work.edit("app/web/Dockerfile", "STOPSIGNAL", "RUN echo 'the cat is out' && false\nSTOPSIGNAL");
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["build-failed"]);
    assert!(run.stdout.contains("the cat is out"), "{}", run.stdout);
    work.write("app/web/Dockerfile", DOCKERFILE);
    work.edit("app/compose.yaml", "context: ./web", "context: $WHERE");
    work.edit("deployment.yaml", "GREETING: hi", "GREETING: hi, WHERE: /etc");
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["compose-invalid"], "{}", run.stdout);
    assert_eq!(containers(&host), running);
    work.edit("app/compose.yaml", "context: $WHERE", "context: ../web");
    assert_eq!(work.apply().expect(64).reasons(), ["application-invalid"]);
    assert_eq!(containers(&host), running);
}
