//! A service writes files that Docker Compose would read as root: a Compose file that another one includes, the
//! variables that it substitutes, and files elsewhere on the host. The victim is a directory of the host that no
//! release mounts.

use crate::bed::{BedHost, Work};
use crate::scene::{APP, STATE, containers};

/// Returns a service that sleeps, with additional keys.
fn sleeping(name: &str, more: &str) -> String {
    format!(
        "  {name}: {{ image: \"demo:1\", init: true, stop_grace_period: 0s, command: [sleep, infinity], {more} }}\n"
    )
}

/// Writes an application with this Compose file, without releasing it, and creates the victim.
fn written(host: &BedHost, compose: &str) -> Work {
    host.shell("mkdir -p /srv/victim /srv/shared; echo precious >/srv/victim/file");
    let work = Work::demo(host);
    work.write("app/compose.yaml", compose);
    work.edit("deployment.yaml", "    checks: [ { name: page, http: { port: 8080, path: / } } ]\n", "");
    work
}

/// Runs a shell script in `web`, as an attacker who controls the service.
fn inside(host: &BedHost, script: &str) {
    host.script(&format!("docker exec -i shop--production-web-1 sh -s <<'INSIDE'\n{script}\nINSIDE\n"));
}

/// Returns a command that makes `path` a Compose file whose service `other` mounts the victim.
fn greedy(path: &str) -> String {
    let other = sleeping("other", "volumes: [\"/srv/victim:/v\"]");
    format!("cat >{path} <<'/.'\nservices:\n{other}/.\n")
}

#[track_caller]
fn untouched(host: &BedHost) {
    let mounts = host.shell("docker ps -aq | xargs -r docker inspect -f '{{range .Mounts}}{{.Source}} {{end}}'");
    assert!(!mounts.contains("victim"), "{mounts}");
    assert_eq!(host.shell("cd /srv/victim && ls && cat file"), "file\nprecious\n");
}

fn destroyed(host: &BedHost, work: &Work) {
    work.run(&["destroy", "production", "--allow-destroy", "production", "--purge", "--yes"]).expect(0);
    untouched(host);
    assert!(host.holds(&format!("[ ! -e {APP} ] && [ -z \"$(docker ps -aq)\" ]")));
}

/// Records of older versions have seeds that their Compose files include.
#[test]
fn a_seed_that_a_compose_file_includes_is_read_as_it_was_sent() {
    let host = BedHost::docker();
    let compose = format!("include: [data/extra.yaml]\nservices:\n{}", sleeping("web", "volumes: [\"./data:/data\"]"));
    let work = written(&host, &compose);
    work.write("app/data/extra.yaml", format!("services:\n{}", sleeping("other", "hostname: other")));
    work.apply().expect(0);
    work.write("app/compose.yaml", format!("{compose}# next\n"));
    work.apply().expect(0);
    host.shell(&format!(
        "sed -i 's,\\(\"data/extra.yaml\":{{\"value\":\"\\)[^\"]*,\\1seed,; s,\"hash\":\"[0-9a-f]*\"\\,,,g' {STATE}/current.json {STATE}/releases/*/release.json"
    ));
    assert_eq!(
        host.shell(&format!(
            "grep -l 'extra.yaml\":{{\"value\":\"seed\"' {STATE}/*.json {STATE}/releases/*/release.json | wc -l"
        )),
        "3\n"
    );
    inside(&host, &greedy("/data/extra.yaml"));
    work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    untouched(&host);
    assert_eq!(containers(&host).keys().collect::<Vec<_>>(), ["other", "web"]);
    work.run(&["apply", "--retry", "--json"]).expect(0);
    untouched(&host);
    destroyed(&host, &work);
}

#[test]
fn variables_that_a_service_writes_into_an_ignored_file_are_not_filled_in() {
    let host = BedHost::docker();
    let compose = |next: &str| {
        let volumes = "volumes: [\".:/app\", \"${DATA:-./data}:/data\"]";
        format!("services:\n{}", sleeping("web", &format!("{volumes}, environment: {{ NEXT: \"{next}\" }}")))
    };
    let work = written(&host, &compose("1"));
    work.write("app/.env", "COLOUR=red\n");
    let manifest = work.read("deployment.yaml");
    work.write(
        "deployment.yaml",
        format!("{manifest}    drift: {{ ignore: [ {{ fact: \"files:*\", reason: the owner's }} ] }}\n"),
    );
    work.apply().expect(0);
    inside(&host, &format!("echo DATA=/srv/victim >>/app/.env\n{}", greedy("/app/compose.override.yaml")));
    let compose_file = format!("services:\n{}", sleeping("web", "volumes: [\"/srv/victim:/data\"]"));
    inside(&host, &format!("cat >/app/compose.yaml <<'/.'\n{compose_file}/.\n"));
    assert_eq!(work.run(&["plan", "--json"]).expect(0).outcome(), "converged");
    work.write("app/compose.yaml", compose("2"));
    work.apply().expect(0);
    untouched(&host);
    // The edited files are unchanged.
    assert_eq!(host.shell(&format!("cat {APP}/.env")), "COLOUR=red\nDATA=/srv/victim\n");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    destroyed(&host, &work);
}

#[test]
fn compose_sees_nothing_that_services_write_elsewhere_on_the_host() {
    let host = BedHost::docker();
    let web = sleeping("web", "volumes: [\"/srv/shared:/shared\", \"./data:/data\"]");
    let work = written(&host, &format!("services:\n{web}"));
    work.write("app/data/kept", "");
    work.apply().expect(0);
    inside(&host, &format!("{}\necho DATA=/srv/victim >/shared/vars", greedy("/shared/extra.yaml")));
    work.write("app/compose.yaml", format!("include: [/srv/shared/extra.yaml]\nservices:\n{web}"));
    let refused = work.apply().expect(1);
    assert_eq!(refused.reasons(), ["compose-invalid"]);
    assert!(refused.stdout.contains("services of shop--production can write to /srv/shared"), "{}", refused.stdout);
    untouched(&host);

    // Files that no service can write are read as before, and the path of the live directory refers to the release.
    host.shell("mkdir /srv/own; echo COLOUR=red >/srv/own/vars");
    inside(&host, &greedy("/data/more.yaml"));
    work.write("app/more.yaml", format!("services:\n{}", sleeping("other", "env_file: /srv/own/vars")));
    work.write("app/compose.yaml", format!("include: [{APP}/more.yaml]\nservices:\n{web}"));
    work.apply().expect(0);
    let colour = host.shell("docker exec shop--production-other-1 sh -c 'echo $COLOUR'");
    assert_eq!(colour, "red\n");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    destroyed(&host, &work);
}

/// Until services run, Compose could read what they write later. A former version started such a release.
#[test]
fn a_file_that_services_can_write_to_is_not_part_of_a_release() {
    let host = BedHost::docker();
    host.shell("mkdir -p /etc/shop; echo COLOUR=red >/etc/shop/app.env");
    let compose = |mode: &str, next: &str| {
        let optional = "env_file: [{ path: /etc/shop/app.env, required: false }]";
        let more = format!("{optional}, volumes: [\"/etc/shop:/etc/shop{mode}\"], environment: {{ NEXT: \"{next}\" }}");
        format!("services:\n{}", sleeping("web", &more))
    };
    let work = written(&host, &compose("", "1"));
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["compose-invalid"]);
    assert!((run.stdout.clone() + &run.stderr).contains("Docker Compose needs /etc/shop/app.env"), "{run:?}");
    assert_eq!(host.shell("docker ps -aq"), "");

    let colour = "docker exec shop--production-web-1 sh -c 'echo $COLOUR $NEXT'";
    work.write("app/compose.yaml", compose(":ro", "1"));
    work.apply().expect(0);
    assert_eq!(host.shell(colour), "red 1\n");
    work.write("app/compose.yaml", compose(":ro", "2"));
    work.apply().expect(0);
    // As if a start had noted that services can write there.
    host.shell(&format!("echo /etc/shop >>{STATE}/mounted"));
    work.run(&["rollback", "production", "--yes", "--json"]).expect(0);
    assert_eq!(host.shell(colour), "red 1\n");
    host.shell("docker rm -f shop--production-web-1");
    assert_eq!(work.run(&["apply", "--json"]).expect(0).outcome(), "changed");
    assert_eq!(host.shell(colour), "red 1\n");
    destroyed(&host, &work);
}
