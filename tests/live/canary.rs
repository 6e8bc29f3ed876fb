//! Secrets with unique values: after every command of deployer, these values are found only in the release's own 0600
//! files and in the containers that use them.

use crate::bed::{BedHost, DEMO, Run, Work};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Values from the environment, a file and a command; sudo's password; and the values after a rotation.
const CANARIES: [&str; 6] = [
    "canary-env-Zq7",
    "canary-file-Xw3",
    "canary-command-Jk9",
    "canary-sudo-Pv5",
    "canary-env-new-Hd2",
    "canary-file-new-Rt8",
];

/// A value in the arguments of a process on either side, which detects a watch that sees nothing.
const CONTROL: &str = "canary-control-Bn1";

/// Watches the arguments and environments of all processes outside of containers until it is stopped. It reads the
/// values from a file, so that its own arguments contain none.
const WATCH: &str = r#"own=$(readlink /proc/self/ns/pid)
while [ -e /run/canaries ]; do
  for process in /proc/[0-9]*; do
    [ "$(readlink "$process/ns/pid")" = "$own" ] || continue
    for what in cmdline environ; do
      ! grep -aqFf /run/canaries "$process/$what" 2>/dev/null || printf '%s %s: %s\n' "$what" "$process" "$(tr '\0' ' ' < "$process/cmdline")" >> /run/canaries-seen
    done
  done
  sleep 0.02
done"#;

fn found(text: &str) -> Option<&'static str> {
    CANARIES.into_iter().find(|canary| text.contains(canary))
}

fn deployer(work: &Work, arguments: &[&str], rotated: bool) -> Run {
    let run = Work::finish(
        work.command(arguments).env("FROM_ENV", CANARIES[if rotated { 4 } else { 0 }]).env("SUDO", CANARIES[3]),
    );
    for text in [&run.stdout, &run.stderr] {
        assert_eq!(found(text), None, "deployer {arguments:?}: {text}");
    }
    run
}

fn application(host: &BedHost) -> Work {
    let work = Work::demo(host);
    work.write(
        "app/compose.yaml",
        DEMO.replace("    volumes:", "    environment: { A: \"${A}\", B: \"${B}\" }\n    volumes:"),
    );
    work.write("app/html/inner/secret.txt.tera", "holds {{ C }}\n");
    work.write("file", format!("{}\n", CANARIES[1]));
    work.write("tell", format!("#!/bin/sh\necho {}\n", CANARIES[2]));
    fs::set_permissions(work.path("tell"), fs::Permissions::from_mode(0o700)).expect("executable");
    fs::set_permissions(work.path("file"), fs::Permissions::from_mode(0o600)).expect("private");
    fs::set_permissions(work.path("app/html/inner/secret.txt.tera"), fs::Permissions::from_mode(0o600))
        .expect("private");
    let variables = "templates: true, variables: { A: { from_env: FROM_ENV }, B: { from_file: ./file }, C: { from_command: [./tell] } }, archives:";
    work.edit("deployment.yaml", "archives:", variables);
    work.edit("deployment.yaml", "wait: 0s", "wait: 0s, sudo_password: { from_env: SUDO }");
    work
}

/// Collects the arguments of processes on this machine that contain a secret or the control value, as long as `on`.
fn watch_here(on: &AtomicBool) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while on.load(Ordering::Relaxed) {
        for process in fs::read_dir("/proc").expect("/proc").flatten() {
            let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            if found(&arguments).is_some() || arguments.contains(CONTROL) {
                seen.insert(arguments);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    seen
}

fn everything_that_is_done(work: &Work) {
    for arguments in [
        &["check", "--verbose"][..],
        &["plan", "--verbose"],
        &["apply", "--json", "--verbose"],
        &["apply", "--verbose"],
        &["status"],
        &["status", "--json"],
        &["list"],
        &["show", "production"],
        &["test"],
        &["logs", "production"],
    ] {
        let run = deployer(work, arguments, false);
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
    }
    // A rotation: new values replace the old ones.
    work.write("file", format!("{}\n", CANARIES[5]));
    deployer(work, &["plan", "--json"], true).expect(0);
    assert_eq!(deployer(work, &["apply", "--json"], true).expect(0).outcome(), "changed");
    // A service that prints everything it knows, and fails.
    let good = work.read("app/compose.yaml");
    work.edit(
        "app/compose.yaml",
        "    environment:",
        "    command: [sh, -c, \"env; env >&2; cat /www/inner/secret.txt; exit 3\"]\n    environment:",
    );
    work.edit("app/compose.yaml", "restart: unless-stopped", "restart: \"no\"");
    for format in ["--verbose", "--json"] {
        deployer(work, &["apply", format], true).expect(1);
    }
    deployer(work, &["logs", "production"], true);
    work.write("app/compose.yaml", good.replace("    environment:", "    depends_on: [nobody]\n    environment:"));
    deployer(work, &["apply", "--verbose"], true).expect(1);
    work.write("app/compose.yaml", good);
    deployer(work, &["apply", "--json"], true).expect(0);
}

#[test]
fn a_secret_is_found_only_where_it_belongs() {
    let host = BedHost::docker();
    let work = application(&host);
    host.script(&format!(
        "echo deploy:{} | chpasswd\necho 'deploy ALL=(ALL) ALL' > /etc/sudoers.d/deploy\numask 077\ncat > /run/canaries <<'END'\n{}\n{CONTROL}\nEND\n",
        CANARIES[3],
        CANARIES.join("\n")
    ));
    let on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let here = scope.spawn(|| watch_here(&on));
        let there = scope.spawn(|| host.script(WATCH));
        host.shell(&format!("sleep 1; : {CONTROL}"));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| everything_that_is_done(&work)));
        on.store(false, Ordering::Relaxed);
        let seen = here.join().expect("a watch");
        assert!(!seen.is_empty() && seen.iter().all(|line| line.contains(CONTROL)), "arguments here: {seen:?}");
        host.shell("mv /run/canaries /run/canaries-kept");
        there.join().expect("a watch");
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    });
    let seen = host.shell("sort -u /run/canaries-seen");
    assert!(!seen.is_empty() && seen.lines().all(|line| line.contains(CONTROL)), "processes of the host: {seen}");
    assert_eq!(host.shell("journalctl --no-pager | grep -aFf /run/canaries-kept || true"), "", "the journal");
    assert_eq!(host.shell("grep -arlFf /run/canaries-kept /var/log || true"), "", "logs of the host");
    let records = host.shell("grep -arlFf /run/canaries-kept /var/lib/deployer || true");
    assert!(records.lines().all(|path| path.contains("/releases/")), "{records}");
    let open = host.shell("grep -arlFf /run/canaries-kept /var/lib/deployer /opt/deployer | xargs -d '\\n' stat -c '%a %n' | grep -v '^600 ' || true");
    assert_eq!(open, "", "files that others may read");
    assert_eq!(
        host.shell("stat -c %a /opt/deployer/shop--production/.env /var/lib/deployer").split_whitespace().next(),
        Some("600")
    );
    // The engine passes the environment of a health check's process to its runtime in a short-lived file that only root
    // may read.
    let left_out = "--exclude='runc-process*'";
    for path in ["/tmp", "/home/deploy", "/root", "/run/user"] {
        let found = host.shell(&format!("grep -arlFf /run/canaries-kept {left_out} {path} 2>/dev/null || true"));
        assert_eq!(found, "", "{path}");
    }
    let ours = work.path(".deployer");
    assert!(ours.join("state.db").exists());
    let mut files: Vec<_> =
        fs::read_dir(&ours).expect("the store").map(|entry| entry.expect("a file").path()).collect();
    files.extend(fs::read_dir(work.path("home")).expect("a home").map(|entry| entry.expect("a file").path()));
    for path in files.iter().filter(|path| Path::is_file(path)) {
        let text = String::from_utf8_lossy(&fs::read(path).expect("readable")).into_owned();
        assert_eq!(found(&text), None, "{}", path.display());
    }
}
