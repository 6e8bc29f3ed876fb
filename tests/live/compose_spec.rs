//! The Compose specification: everything that `docker compose` accepts is accepted, and everything that it rejects is
//! rejected before any change.

use crate::bed::{BedHost, Work, image};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn cases(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root).expect("cases").map(|entry| entry.expect("a case").path()).collect();
    cases.sort();
    assert!(cases.len() > 10);
    cases
}

/// Returns the cases that this host's Compose accepts.
fn accepted(host: &BedHost, cases: &[PathBuf]) -> BTreeSet<PathBuf> {
    let script = "cd /tmp/spec && f= && for n in compose.yaml compose.yml docker-compose.yml docker-compose.yaml compose.override.yaml; do \
                  [ ! -e $n ] || f=\"$f -f $n\"; done && env -i PATH=\"$PATH\" HOME=/root docker compose -p x --project-directory . $f config -q";
    let takes = |case: &&PathBuf| {
        host.send(case, "/tmp/spec");
        host.holds(&format!("( {script} ) 2>/dev/null"))
    };
    cases.iter().filter(takes).cloned().collect()
}

/// Makes the case the application of the manifest.
fn application(work: &Work, case: &Path) {
    let _ = fs::remove_dir_all(work.path("app"));
    let copied = Command::new("cp").arg("-r").arg(case).arg(work.path("app")).status().expect("cp starts");
    assert!(copied.success());
}

#[test]
#[expect(clippy::print_stderr, reason = "how many are newer than the bed's Compose is part of the result")]
fn accepted_files_pass_check_and_rejected_files_stop_nothing() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.apply().expect(0);
    let started = host.shell("docker inspect -f '{{.State.StartedAt}}' $(docker ps -q)");
    let all = cases("compose-spec");
    let accepted = accepted(&host, &all);
    assert!(accepted.len() >= 25, "{accepted:?}");
    let mut newer = 0;
    for case in &all {
        application(&work, case);
        work.run(&["check"]).expect(0);
        if !accepted.contains(case) {
            let name = case.file_name().expect("a name").to_string_lossy();
            assert!(name.starts_with("since-"), "Compose rejects {name}, which every version should accept");
            assert_eq!(work.apply().expect(1).reasons(), ["compose-invalid"], "{name}");
            newer += 1;
        }
    }
    eprintln!("{} directories accepted, {newer} rejected as newer than this Compose", accepted.len());
    let invalid = cases("compose-invalid");
    assert_eq!(self::accepted(&host, &invalid), BTreeSet::new());
    for case in &invalid {
        application(&work, case);
        let run = work.apply();
        assert!(run.code == 1 || run.code == 64, "{case:?}: {run:?}");
        let reasons = run.reasons();
        assert!(reasons == ["compose-invalid"] || reasons == ["application-invalid"], "{case:?}: {reasons:?}");
    }
    assert_eq!(host.shell("docker inspect -f '{{.State.StartedAt}}' $(docker ps -q)"), started);
}

/// Returns the service and id of every container.
fn containers(host: &BedHost) -> BTreeSet<String> {
    let format = "{{index .Config.Labels \"com.docker.compose.service\"}} {{.Id}}";
    let text = host.shell(&format!("docker inspect -f '{format}' $(docker ps -aq)"));
    text.lines().map(str::to_owned).collect()
}

/// Applies, and returns the services whose containers were replaced.
fn replaced(host: &BedHost, work: &Work) -> Vec<String> {
    let before = containers(host);
    work.apply().expect(0);
    let now = containers(host);
    let mut names: Vec<String> =
        now.difference(&before).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.dedup();
    names
}

const APP: &str = r#"include: [more/compose.yaml]
services:
  base: { image: "demo:1", command: [sleep, infinity], init: true, stop_grace_period: 0s }
  plain: { extends: base, volumes: ["/anonymous"], network_mode: host }
  env: { extends: base, env_file: [sub/e.env], environment: { TAG: "${TAG}" } }
  config: { extends: base, configs: [file] }
  secret: { extends: base, secrets: [file] }
  inline: { extends: base, configs: [inline] }
  variable: { extends: base, secrets: [variable] }
  mounts: { extends: base, volumes: ["./sub/dol$$lar:/x:ro"] }
  many: { extends: base, deploy: { replicas: 2 }, depends_on: { once: { condition: service_completed_successfully } } }
  once: { image: "demo:1", command: ["true"] }
  debug: { extends: base, profiles: [debug] }
  hidden: { extends: base, profiles: [hidden] }
configs: { file: { file: ./sub/config.txt }, inline: { content: "a=1" } }
secrets: { file: { file: ./sub/secret.txt }, variable: { environment: TOKEN } }
"#;

fn everything(host: &BedHost) -> Work {
    let work = Work::empty();
    work.write("app/compose.yaml", APP);
    work.write("app/more/compose.yaml", "services: { included: { image: \"demo:1\", command: [sleep, infinity], init: true, env_file: own.env, stop_grace_period: 0s } }\n");
    work.write("app/more/own.env", "OWN=1\n");
    work.write("app/.env", "FROM_OWN_FILE=1\n");
    for (path, text) in [("e.env", "E=1\n"), ("config.txt", "1"), ("secret.txt", "1"), ("dol$lar/file", "1")] {
        work.write(&format!("app/sub/{path}"), text);
    }
    work.link("demo.tar", &image("demo-1.tar"));
    work.manifest(host, "");
    work.edit(
        "deployment.yaml",
        "archives:",
        "variables: { TAG: \"1\", TOKEN: { from_file: ./token }, COMPOSE_PROFILES: debug }, archives:",
    );
    work.edit("deployment.yaml", "checks: [ { name: page, http: { port: 8080, path: / } } ]", "checks: []");
    work.write("token", "token-one\n");
    work
}

#[test]
fn exactly_the_services_that_read_what_changed_are_replaced() {
    let host = BedHost::docker();
    let work = everything(&host);
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    let names: BTreeSet<String> =
        containers(&host).iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    let wanted = [
        "base", "config", "debug", "env", "included", "inline", "many", "mounts", "once", "plain", "secret", "variable",
    ];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    let inside = |service: &str, command: &str| {
        host.shell(&format!(
            "docker exec $(docker ps -q --filter label=com.docker.compose.service={service}) {command}"
        ))
    };
    assert_eq!(inside("variable", "cat /run/secrets/variable").trim(), "token-one");

    for (file, from, to, service) in [
        ("app/sub/e.env", "E=1", "E=2", "env"),
        ("app/sub/config.txt", "1", "2", "config"),
        ("app/sub/secret.txt", "1", "2", "secret"),
        ("app/compose.yaml", "a=1", "a=2", "inline"),
        ("token", "one", "two", "variable"),
        ("app/sub/dol$lar/file", "1", "2", "mounts"),
        ("app/more/own.env", "OWN=1", "OWN=2", "included"),
        ("deployment.yaml", "TAG: \"1\"", "TAG: \"2\"", "env"),
    ] {
        work.edit(file, from, to);
        assert_eq!(replaced(&host, &work), [service], "{file}");
    }
    assert_eq!(inside("variable", "cat /run/secrets/variable").trim(), "token-two");
    assert_eq!(inside("inline", "cat /inline").trim(), "a=2");
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // A service that ran when its release converged and has ended since is drift, even with exit code 0.
    host.shell("docker stop -t 0 $(docker ps -q --filter label=com.docker.compose.service=base)");
    assert_eq!(work.run(&["plan", "--json"]).of("plan")[0]["summary"]["update"], 1);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}
