//! The systemd unit of `examples/watch`, unchanged, on a host that manages another host.

use crate::bed::{BedHost, Work, bed_value, image};
use std::process::Command;
use std::time::{Duration, Instant};

const UNIT: &str = include_str!("../../examples/watch/deployer-watch.service");
const HOME: &str = "/var/lib/deployer-watch";

/// Waits until a condition holds on the managed host.
#[track_caller]
fn until(runner: &BedHost, what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        let late = begun.elapsed().as_secs() >= 60;
        assert!(!late, "{what}: {}", runner.shell("systemctl status -n 40 deployer-watch 2>&1 || :"));
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn the_unit_of_the_example_keeps_a_host_and_ends_cleanly() {
    let (host, runner) = (BedHost::docker(), BedHost::bare());
    let work = Work::demo(&host);
    let key = format!("{HOME}/.ssh/id_ed25519");
    std::fs::remove_file(work.path("demo.tar")).expect("a link");
    std::fs::copy(image("demo-1.tar"), work.path("demo.tar")).expect("copied");
    work.edit("deployment.yaml", &bed_value("BED_KEY").display().to_string(), &key);

    // Installed as the comment at the top of the unit describes, with the manifest in a directory without Git.
    let program = tempfile::tempdir().expect("a directory");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(program.path().join("deployer")).arg(env!("CARGO_BIN_EXE_deployer"));
    assert!(strip.status().expect("strip starts").success());
    std::fs::copy(bed_value("BED_KEY"), program.path().join("key")).expect("copied");
    let unit = UNIT.replace("watch --git-pull 1m", "watch --interval 5s");
    assert_ne!(unit, UNIT, "the interval is set");
    std::fs::write(program.path().join("unit"), unit).expect("written");
    runner.send(program.path(), "/root/new");
    let ours = |line: &&str| !line.starts_with("git ") && !line.starts_with("systemctl ");
    for line in UNIT.lines().filter_map(|line| line.strip_prefix("#   ")).filter(ours) {
        runner.shell(line);
    }
    runner.send(work.directory.path(), &format!("{HOME}/shop"));
    runner.shell(&format!(
        "rm -r {HOME}/shop/home
         install -m 0755 /root/new/deployer /usr/local/bin/deployer
         install -m 0600 -o deployer-watch /root/new/key {key}
         install -m 0644 /root/new/unit /etc/systemd/system/deployer-watch.service
         chown -R deployer-watch {HOME}/shop && rm -r /root/new
         systemctl daemon-reload && systemctl enable -q --now deployer-watch"
    ));

    until(&runner, "the application is put there", || host.page(8080).is_some());
    host.shell("echo by hand >/opt/deployer/shop--production/html/index.html");
    until(&runner, "what was edited by hand is put back", || host.page(8080).as_deref() == Some("page one\n"));
    runner.shell(&format!("echo page two >{HOME}/shop/app/html/index.html"));
    until(&runner, "what is changed is applied", || host.page(8080).as_deref() == Some("page two\n"));
    // The watch waits while a manifest is invalid. On request, it reads everything at once.
    runner.shell(&format!(
        "mv {HOME}/shop/deployment.yaml {HOME}/shop/away; echo 'version: 1' >{HOME}/shop/deployment.yaml"
    ));
    until(&runner, "it says so", || {
        runner.holds("journalctl -u deployer-watch | grep -q 'the last valid one stays in use'")
    });
    runner.shell(&format!("mv {HOME}/shop/away {HOME}/shop/deployment.yaml; systemctl reload deployer-watch"));
    assert!(runner.holds("systemctl is-active -q deployer-watch"));
    runner.shell("systemctl stop deployer-watch");
    let ended = runner.shell("systemctl show -p Result -p NRestarts --value deployer-watch");
    assert_eq!(ended, "success\n0\n", "{}", runner.shell("journalctl -n 40 -u deployer-watch"));
}
