//! Parallel steps on one host: updates take their time while the release continues. Another process holds the lock of
//! the host's packages meanwhile, so that no test depends on the speed of a machine.

use crate::bed::{BedHost, Run, Work};
use crate::trouble::Point::{Began, Waiting};
use crate::trouble::{Underway, finished, in_doubt};
use std::time::Duration;

const UPDATES: &str = "    configure: { security_updates: true }\n";

/// Starts a host whose package lock another process holds, for `seconds` or until that process is ended.
fn contended(seconds: u32) -> (BedHost, Work) {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.manifest(&host, UPDATES);
    host.shell(&format!(
        "install -d -m 0700 /var/lib/deployer; systemd-run -q --unit other flock /var/lib/deployer/host.lock sleep {seconds}"
    ));
    (host, work)
}

/// Returns `KIND STATE` of each step's event, in the order of the events.
fn steps(run: &Run) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    run.of("step").iter().map(|step| text(&step["kind"]) + " " + &text(&step["state"])).collect()
}

/// Returns the number of unattended upgrades in apt's history on the host.
fn installs(host: &BedHost) -> String {
    host.shell("grep -c 'Commandline.*unattended-upgrades' /var/log/apt/history.log || :")
}

/// Cuts the connections of deployer's user to the host.
fn cut(host: &BedHost) {
    host.shell(
        "pkill -KILL -u deploy sshd; for n in $(seq 50); do pgrep -u deploy sshd >/dev/null || break; sleep 0.1; done",
    );
}

#[test]
fn the_release_does_not_wait_for_updates() {
    let (host, work) = contended(300);
    let mut apply = Underway::apply(&work);
    assert!(apply.reach(Began("services", 0)), "the services begin while the updates wait");
    while host.page(8080).is_none() {
        std::thread::sleep(Duration::from_millis(200));
    }
    host.shell("systemctl stop other");
    let run = apply.end().expect(0);
    let steps = steps(&run);
    let place = |step: &str| steps.iter().position(|it| it == step).unwrap_or_else(|| panic!("no {step} in {steps:?}"));
    assert!(place("updates started") < place("files started"), "{steps:?}");
    assert!(place("services started") < place("updates applied"), "{steps:?}");
    let told = run.of("progress").into_iter().find(|it| it["activity"] == "turn on security updates");
    assert_eq!(told.expect("a word on it")["kind"], "updates");
    assert_eq!(installs(&host), "1\n");
    finished(&host, &work, "page one");
}

#[test]
fn updates_and_the_release_both_survive_a_cut_connection() {
    for point in [Began("files", 100), Began("services", 200), Waiting] {
        let (host, work) = contended(300);
        if matches!(point, Waiting) {
            work.edit("deployment.yaml", "stable_for: 1s", "stable_for: 8s");
        }
        let mut apply = Underway::apply(&work);
        assert!(apply.reach(point), "{point:?}");
        cut(&host);
        std::thread::sleep(Duration::from_secs(1));
        host.shell("systemctl stop other");
        let run = apply.end().expect(0);
        assert_eq!(run.outcome(), "changed", "{point:?}");
        assert_eq!(installs(&host), "1\n", "{point:?}");
        finished(&host, &work, "page one");
    }
}

#[test]
fn commands_that_a_killed_runner_left_are_waited_for() {
    let (host, work) = contended(300);
    let mut apply = Underway::apply(&work);
    assert!(apply.reach(Began("services", 300)));
    apply.kill();
    assert_eq!(in_doubt(&work), 2, "the updates and the services");
    let release = std::thread::spawn({
        let name = host.name.clone();
        move || {
            std::thread::sleep(Duration::from_secs(5));
            crate::bed::bed(&["shell", &name, "systemctl", "stop", "other"]);
        }
    });
    let run = work.apply().expect(0);
    release.join().expect("it ends");
    assert_eq!(run.outcome(), "changed");
    assert_eq!(installs(&host), "1\n");
    finished(&host, &work, "page one");
}
