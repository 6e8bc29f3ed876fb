//! Services that run once before the switch to a release: with its files and images, while the old release serves.

use crate::bed::{BedHost, Work};
use crate::scene::{APP, STATE, containers};
use crate::trouble::Underway;

const COMPOSE: &str = r#"services:
  web:
    image: demo:1
    ports: ["8080:8080"]
    volumes: ["./html:/www:ro"]
    healthcheck: { test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"], interval: 1s, timeout: 2s, retries: 10 }
    depends_on: { base: { condition: service_started } }
  base: { image: "demo:1", command: [sleep, infinity], init: true, stop_grace_period: 0s }
  migrate:
    image: demo:1
    user: "1234"
    deploy: { replicas: 1 }
    volumes: ["./html:/www:ro", "./data:/data"]
    depends_on: { web: { condition: service_healthy } }
    command: [sh, -c, "echo $$(cat /www/index.html) over $$(wget -q -O - http://web:8080/) >>/data/ran; if grep -q bad /www/index.html; then echo 'migrate: no such column' >&2; exit 3; fi"]
"#;

/// Returns the lines that the migrations wrote, one for each run.
fn ran(host: &BedHost) -> Vec<String> {
    host.shell(&format!("cat {APP}/data/ran")).lines().map(str::to_owned).collect()
}

#[test]
fn a_migration_runs_once_a_release_while_the_old_one_serves_and_stops_a_release_by_failing() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.write("app/compose.yaml", COMPOSE);
    work.write("app/data/empty", "");
    work.edit("deployment.yaml", "archives:", "before: [migrate], seed: [\"data/**\"], archives:");
    host.shell(&format!("mkdir -p {APP}/data; chmod 0777 {APP}/data"));
    work.apply().expect(0);
    assert_eq!(ran(&host), ["page one over page one"], "at first what it depends on is started before it");
    assert_eq!(containers(&host).keys().collect::<Vec<_>>(), ["base", "web"]);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    let first = containers(&host);

    work.write("app/html/index.html", "page two\n");
    work.apply().expect(0);
    assert_eq!(ran(&host)[1..], ["page two over page one"], "its data is the live one, its files are the new ones");
    assert_eq!(containers(&host)["base"], first["base"]);
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    let second = containers(&host);
    work.write("app/html/index.html", "page bad\n");
    for _ in 0..2 {
        let run = work.apply().expect(1);
        assert_eq!(run.reasons(), ["before-failed"]);
        assert!(run.stdout.contains("migrate: no such column") && run.stdout.contains("exit 3"), "{}", run.stdout);
        assert_eq!(containers(&host), second, "nothing was touched");
        assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
        assert!(host.holds("[ -z \"$(docker ps -aq --filter label=com.docker.compose.oneoff=True)\" ]"));
    }
    assert_eq!(ran(&host)[2..], ["page bad over page two", "page bad over page two"]);

    // The migration succeeded and the rest failed: the next apply does not run the migration again.
    work.write("app/html/index.html", "page three\n");
    work.edit("app/compose.yaml", "command: [sleep, infinity]", "command: [sh, -c, exit 1]");
    work.edit("deployment.yaml", "timeout: 30s", "timeout: 5s");
    work.edit("deployment.yaml", "    health:", "    rollback: never\n    health:");
    for _ in 0..2 {
        work.apply().expect(1);
        assert_eq!(ran(&host)[4..], ["page three over page two"]);
    }
    assert_eq!(host.shell(&format!("cat {STATE}/releases/*/before | sort | uniq -c")).trim(), "3 migrate");

    work.edit("deployment.yaml", "before: [migrate]", "before: [migrate, nobody]");
    let refused = work.apply().expect(64);
    assert_eq!(refused.reasons(), ["application-invalid"]);
    assert!(refused.stdout.contains("nobody") && refused.stdout.contains("base, migrate, web"), "{}", refused.stdout);

    // A service that is removed from the list is an ordinary service again.
    work.edit("app/compose.yaml", "command: [sh, -c, exit 1]", "command: [sleep, infinity]");
    work.edit("deployment.yaml", "before: [migrate, nobody], ", "");
    work.edit("deployment.yaml", "timeout: 5s", "timeout: 30s");
    work.apply().expect(0);
    assert_eq!(ran(&host)[5..], ["page three over page three"]);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

/// A service that never ends belongs to the run that started it, as long as that run lives.
#[test]
fn one_that_never_ends_is_ended_once_its_run_is_gone() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    let endless = "command: [sh, -c, \"[ ! -e /data/evil ] || while :; do sleep 1; done\"]";
    let at = COMPOSE.rfind("command:").expect("it has one");
    work.write("app/compose.yaml", format!("{}{endless}\n", &COMPOSE[..at]));
    work.edit("deployment.yaml", "archives:", "before: [migrate], archives:");
    work.apply().expect(0);
    host.shell(&format!("touch {APP}/data/evil"));
    let runs = "[ -n \"$(docker ps -q --filter label=deployer.before)\" ]";
    let begin = |page: &str| {
        work.write("app/html/index.html", page);
        let run = Underway::apply(&work);
        host.shell(&format!("until {runs}; do sleep 0.2; done"));
        run
    };
    let unlock = |work: &Work| work.run(&["unlock", "production", "--yes", "--json"]).expect(0);

    let lives = begin("page two\n");
    assert_eq!(unlock(&work).outcome(), "changed");
    assert!(host.holds(runs), "the run that began it lives");
    lives.kill();
    let ended = unlock(&work);
    assert!(ended.outcome() == "changed" && ended.stdout.contains("had left running"), "{}", ended.stdout);
    assert!(!host.holds(runs));
    assert!(unlock(&work).stdout.contains("production is not locked"));

    // A destruction does not wait for it either.
    begin("page three\n").kill();
    let gone = work.run(&["destroy", "production", "--allow-destroy", "production", "--purge", "--json"]).expect(0);
    assert_eq!(gone.outcome(), "changed");
    assert!(host.holds("[ -z \"$(docker ps -aq)\" ]"));
}
