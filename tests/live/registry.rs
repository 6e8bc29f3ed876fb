//! Images from a registry that requires a login: the server from Debian's packages, on the host itself.

use crate::bed::{BedHost, Work, image};
use crate::scene::{STATE, containers};
use std::fs::File;
use std::process::{Command, Stdio};

const REGISTRY: &str = "127.0.0.1:5000";
const PASSWORD: &str = "canary-of-the-registry";

/// Sets the registry up and pushes `demo:1` to it; nothing of it stays in the engine.
const SETUP: &str = r#"set -eu
export DEBIAN_FRONTEND=noninteractive
{ apt-get update; apt-get install -y --no-install-recommends docker-registry apache2-utils; } >/dev/null 2>&1
echo PASSWORD >/srv/canary
htpasswd -Bin shop </srv/canary >/etc/docker/registry/htpasswd
cat >/etc/docker/registry/config.yml <<'.'
version: 0.1
storage: { filesystem: { rootdirectory: /var/lib/docker-registry } }
http: { addr: "REGISTRY" }
auth: { htpasswd: { realm: shop, path: /etc/docker/registry/htpasswd } }
.
chmod 0644 /etc/docker/registry/*
systemctl restart docker-registry
export DOCKER_CONFIG=/srv/pusher
for i in $(seq 50); do
  ! docker login -u shop --password-stdin REGISTRY </srv/canary >/dev/null 2>&1 || break
  sleep 0.2
done
docker tag demo:1 REGISTRY/demo:1
docker push -q REGISTRY/demo:1 >/dev/null
docker image rm demo:1 REGISTRY/demo:1 >/dev/null
rm -rf /srv/pusher
"#;

/// Pushes an image to the registry under the tag that the application names. The engine knows the image only by another
/// name of the registry, and only during the push.
const PUSH: &str = r"set -eu
export DOCKER_CONFIG=/srv/pusher
docker login -u shop --password-stdin localhost:5000 </srv/canary >/dev/null 2>&1
docker tag IMAGE localhost:5000/demo:1
docker push -q localhost:5000/demo:1 >/dev/null
docker image rm IMAGE localhost:5000/demo:1 >/dev/null
rm -rf /srv/pusher
";

fn load(host: &BedHost, archive: &str) {
    let load = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
        .args(["shell", &host.name, "docker", "load", "-q"])
        .stdin(Stdio::from(File::open(image(archive)).expect("the archive")))
        .status();
    assert!(load.expect("tests/bed starts").success());
}

/// Starts a registry on the host that only `shop` may use.
fn registry(host: &BedHost) {
    load(host, "demo-1.tar");
    host.script(&SETUP.replace("PASSWORD", PASSWORD).replace("REGISTRY", REGISTRY));
}

/// Moves the tag at the registry to another image.
fn push(host: &BedHost, archive: &str, name: &str) {
    load(host, archive);
    host.script(&PUSH.replace("IMAGE", name));
}

/// Searches the arguments and variables of all processes for the password, in plain text and in the encoding of the
/// engine's API.
fn watch(host: &BedHost) {
    let login = format!(r#"{{"password":"{PASSWORD}","serveraddress":"{REGISTRY}","username":"shop"}}"#);
    host.script(&format!("{{ cat /srv/canary; printf %s '{login}' | base64 -w 0 | tr /+ _-; echo; }} >/srv/canaries"));
    host.shell(
        "rm -f /srv/looks; systemd-run -q --unit watch sh -c 'while :; do cat /proc/[0-9]*/cmdline \
         /proc/[0-9]*/environ 2>/dev/null | grep -aoFf /srv/canaries >>/srv/seen; echo >>/srv/looks; done'",
    );
}

/// Stops the watch and returns its findings.
fn watched(host: &BedHost) -> String {
    host.shell("systemctl stop watch; [ \"$(wc -l </srv/looks)\" -gt 10 ]; cat /srv/seen")
}

/// Makes the usual application with the page of its image, which follows the registry.
fn following(host: &BedHost) -> Work {
    let work = Work::demo(host);
    work.edit("app/compose.yaml", "image: demo:1", &format!("image: {REGISTRY}/demo:1"));
    work.edit("app/compose.yaml", "    volumes: [\"./html:/www:ro\"]\n", "");
    work.edit("deployment.yaml", "archives: { \"demo:1\": ./demo.tar }", "pull: always");
    work.write("password", PASSWORD);
    let login =
        format!("registries: {{ \"{REGISTRY}\": {{ username: shop, password: {{ from_file: ./password }} }} }}");
    work.edit("deployment.yaml", "environments:", &format!("{login}\nenvironments:"));
    work
}

#[test]
fn a_login_is_used_for_the_pull_and_left_nowhere() {
    let host = BedHost::docker();
    registry(&host);
    let work = Work::demo(&host);
    work.edit("app/compose.yaml", "image: demo:1", &format!("image: {REGISTRY}/demo:1"));
    work.edit("deployment.yaml", ", archives: { \"demo:1\": ./demo.tar }", "");
    assert_eq!(work.apply().expect(1).reasons(), ["image-unavailable"], "without a login");

    work.write("password", "another-password");
    let login =
        format!("registries: {{ \"{REGISTRY}\": {{ username: shop, password: {{ from_file: ./password }} }} }}");
    work.edit("deployment.yaml", "environments:", &format!("{login}\nenvironments:"));
    assert_eq!(work.apply().expect(1).reasons(), ["image-unavailable"], "with a wrong one");

    work.write("password", PASSWORD);
    watch(&host);
    let run = work.apply().expect(0);
    assert_eq!(watched(&host), "", "in no argument and no variable of a process");
    assert!(!run.stdout.contains(PASSWORD) && !run.stderr.contains(PASSWORD));
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    let running = containers(&host);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(containers(&host), running);
    let places = format!("/run {STATE} /opt /root /home /tmp /var/tmp /var/log");
    assert!(host.holds(&format!("! grep -rqsF -D skip -f /srv/canary {places}")), "in no file");
    assert!(host.holds("[ -z \"$(ls -d /run/deployer.* /root/.docker/config.json 2>/dev/null)\" ]"));

    // A rollback needs no login: the images of a kept release stay.
    work.write("password", "another-password");
    work.write("app/html/index.html", "page two\n");
    work.apply().expect(0);
    work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
}

#[test]
fn an_image_that_moved_at_its_registry_is_released() {
    let host = BedHost::docker();
    registry(&host);
    let work = following(&host);
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("demo 1\n"));
    let running = containers(&host);
    watch(&host);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(watched(&host), "", "in no argument and no variable of a process");
    assert_eq!(containers(&host), running);

    push(&host, "demo-2.tar", "demo:2");
    let plan = work.run(&["plan", "--json", "--detailed-exitcode", "--out", "p.plan"]).expect(2).of("plan").remove(0);
    let step = |kind: &str| plan["steps"].as_array().expect("steps").iter().find(|step| step["kind"] == kind).cloned();
    let change = &step("images").expect("a step")["changes"][0];
    assert_eq!(change["fact"], format!("{REGISTRY}/demo:1"), "{plan}");
    let digest = |side: &str| change[side].as_str().is_some_and(|digest| digest.starts_with("sha256:"));
    assert!(digest("from") && digest("to") && change["from"] != change["to"], "{plan}");
    assert_eq!(
        (&step("images").expect("a step")["reason"], &change["note"]),
        (&"differs".into(), &"restarts web".into())
    );
    assert!(step("services").is_some(), "{plan}");
    assert_eq!(host.page(8080).as_deref(), Some("demo 1\n"));
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("demo 2\n"));
    let running = containers(&host);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(containers(&host), running);
    assert_eq!(work.run(&["plan", "--offline", "--json"]).expect(0).outcome(), "converged");

    // After a rollback by hand, the current image of the registry is not wanted until the registry has another one.
    work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("demo 1\n"));
    assert_eq!(work.apply().expect(0).of("step").len(), 0);
    assert_eq!(host.page(8080).as_deref(), Some("demo 1\n"));
    let run = work.run(&["apply", "--retry", "--json"]).expect(0);
    assert_eq!(run.outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("demo 2\n"));
}

#[test]
fn an_image_that_does_not_hold_is_not_tried_again_until_it_moves() {
    let host = BedHost::docker();
    registry(&host);
    let work = following(&host);
    work.edit("deployment.yaml", "timeout: 30s", "timeout: 5s");
    work.apply().expect(0);
    let (images, running) = (host.shell("docker image ls -q | sort"), containers(&host));

    push(&host, "crash.tar", "demo:crash");
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["rolled-back"]);
    assert_eq!(host.page(8080).as_deref(), Some("demo 1\n"));
    assert_eq!(host.shell("docker image ls -q | sort"), images, "what was rejected is gone, what was there is back");
    let back = containers(&host);
    let again = work.apply().expect(1);
    assert_eq!((again.reasons(), again.of("step").len()), (vec!["release-rejected".to_owned()], 0));
    assert_eq!(containers(&host), back);

    push(&host, "demo-2.tar", "demo:2");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("demo 2\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_ne!(containers(&host), running);

    // The same together with another change of the application.
    push(&host, "crash.tar", "demo:crash");
    work.edit("app/compose.yaml", "restart: unless-stopped", "restart: \"no\"");
    assert_eq!(work.apply().expect(1).reasons(), ["rolled-back"]);
    assert_eq!(work.apply().expect(1).reasons(), ["release-rejected"]);
    assert_eq!(host.page(8080).as_deref(), Some("demo 2\n"));
    push(&host, "demo-1.tar", "demo:1");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("demo 1\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_registry_that_does_not_answer_leaves_what_runs_alone() {
    let host = BedHost::docker();
    registry(&host);
    let work = following(&host);
    work.apply().expect(0);
    let running = containers(&host);
    host.shell("systemctl stop docker-registry");
    let warned = |run: &crate::bed::Run| {
        run.of("warning")
            .iter()
            .any(|said| said["message"].as_str().is_some_and(|text| text.contains("could not be compared")))
    };
    let plan = work.run(&["plan", "--json"]).expect(0);
    assert!(warned(&plan) && plan.outcome() == "converged", "{}", plan.stdout);
    assert!(warned(&work.run(&["status", "--json"]).expect(0)));
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["image-not-compared"]);
    assert!(run.stdout.contains("connection refused"), "{}", run.stdout);
    assert_eq!(containers(&host), running);

    // Drift on the host is still corrected.
    host.shell("docker rm -f $(docker ps -q)");
    assert_eq!(work.apply().expect(1).reasons(), ["image-not-compared"]);
    assert_eq!(host.page(8080).as_deref(), Some("demo 1\n"));

    // A new release has the newest images, or fails.
    let running = containers(&host);
    work.edit("app/compose.yaml", "restart: unless-stopped", "restart: always");
    assert_eq!(work.apply().expect(1).reasons(), ["image-not-compared"]);
    assert_eq!(containers(&host), running);
    host.shell("systemctl start docker-registry; sleep 1");
    assert_eq!(work.apply().expect(0).outcome(), "changed");

    // Without curl, the engine is asked with perl, if there is one.
    host.shell("mv /usr/bin/curl /usr/bin/curl.away");
    push(&host, "demo-2.tar", "demo:2");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("demo 2\n"));
    host.shell("mv /usr/bin/perl /usr/bin/perl.away");
    let run = work.apply().expect(1);
    assert!(run.stdout.contains("neither curl nor perl"), "{}", run.stdout);
    assert_eq!(host.page(8080).as_deref(), Some("demo 2\n"));
}
