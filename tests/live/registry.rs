//! Images from a registry that asks for a login: the server that Debian packages, on the host itself.

use crate::bed::{BedHost, Work, image};
use crate::scene::{STATE, containers};
use std::fs::File;
use std::process::{Command, Stdio};

const REGISTRY: &str = "127.0.0.1:5000";
const PASSWORD: &str = "canary-of-the-registry";

/// Sets the registry up and puts `demo:1` in it; nothing of that stays in the engine.
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

/// A registry on the host that only `shop` may use.
fn registry(host: &BedHost) {
    let load = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
        .args(["shell", &host.name, "docker", "load", "-q"])
        .stdin(Stdio::from(File::open(image("demo-1.tar")).expect("the archive")))
        .status();
    assert!(load.expect("tests/bed starts").success());
    host.script(&SETUP.replace("PASSWORD", PASSWORD).replace("REGISTRY", REGISTRY));
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
    host.shell(
        "systemd-run -q --unit watch sh -c 'while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null \
         | grep -aoFf /srv/canary >>/srv/seen; echo >>/srv/looks; done'",
    );
    let run = work.apply().expect(0);
    host.shell("systemctl stop watch; [ \"$(wc -l </srv/looks)\" -gt 10 ]");
    assert_eq!(host.shell("cat /srv/seen"), "", "in no argument and no variable of a process");
    assert!(!run.stdout.contains(PASSWORD) && !run.stderr.contains(PASSWORD));
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    let running = containers(&host);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(containers(&host), running);
    let places = format!("/run {STATE} /opt /root /home /tmp /var/tmp /var/log");
    assert!(host.holds(&format!("! grep -rqsF -D skip -f /srv/canary {places}")), "in no file");
    assert!(host.holds("[ -z \"$(ls -d /run/deployer.* /root/.docker/config.json 2>/dev/null)\" ]"));

    // The way back needs no login: what a kept release runs with stays.
    work.write("password", "another-password");
    work.write("app/html/index.html", "page two\n");
    work.apply().expect(0);
    work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
}
