//! Backups of the tracker's data and restores of them, on a real host with the real tracker and with `MariaDB` in place
//! of `MySQL`. The tests ask the tracker itself for its data.

use crate::bed::{BedHost, Run, Work};
use crate::scene::containers;
use crate::stack::{run, stack};
use crate::trouble::Point::Began;
use crate::trouble::Underway;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

pub const SECRETS: [&str; 2] = ["token", "p@ss:w/ord#%'\"\\"];
const STATE: &str = "/var/lib/deployer/torrent--production/backups";
const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

/// Returns a stack whose tracker serves only listed torrents, with a backup.
pub fn listed(host: &BedHost, database: &str, backup: &str) -> Work {
    let tracker = format!(
        "        listed: true\n        database: {database}\n        http: [{{ port: 7070 }}]\n        \
         api: {{ token: {{ from_env: TRACKER_TOKEN }}, bind: 127.0.0.1 }}\n        backup: {backup}\n"
    );
    let work = stack(host, "", &tracker);
    work.edit("deployment.yaml", "images: { ", "images: { backup: \"deployer/backup:1\", ");
    with_sqlite(&work);
    work
}

/// Sends the image that contains `sqlite3`, and omits images that these tests do not need.
pub fn with_sqlite(work: &Work) {
    let (from, to) = ("\"caddy:2.6\": ", "\"deployer/backup:1\": ");
    let text = work.read("deployment.yaml");
    let lines = text.lines().filter(|line| !line.contains("\"prom/prometheus:2.53\": "));
    let lines = lines.map(|line| line.replace(from, to).replace("/caddy.tar", "/backup.tar") + "\n");
    work.write("deployment.yaml", lines.collect::<String>());
}

pub fn deployer(work: &Work, host: &BedHost, arguments: &[&str]) -> Run {
    run(work, host, arguments, SECRETS)
}

/// Adds the torrent to the tracker's list, or removes it.
pub fn list(host: &BedHost, method: &str) {
    let url = format!("http://127.0.0.1:1212/api/v1/whitelist/{HASH}?token={}", SECRETS[0]);
    host.shell(&format!("curl -sf -X {method} '{url}' >/dev/null"));
}

/// Returns true if the tracker serves the torrent.
pub fn serves(host: &BedHost) -> bool {
    let hash = HASH.as_bytes().chunks(2).fold(String::new(), |text, pair| text + "%" + &String::from_utf8_lossy(pair));
    let query =
        format!("info_hash={hash}&peer_id=-DP-0000000000000001&port=4000&uploaded=0&downloaded=0&left=0&compact=0");
    let answer = host.shell(&format!("curl -sg 'http://127.0.0.1:7070/announce?{query}'"));
    assert!(answer.contains("interval") || answer.contains("failure reason"), "{answer}");
    !answer.contains("failure reason")
}

/// Makes a backup and returns its only event.
pub fn backup(work: &Work, host: &BedHost, more: &[&str]) -> serde_json::Value {
    let made = deployer(work, host, &[&["backup", "production", "--json"], more].concat()).expect(0);
    let archives = made.of("archive");
    assert_eq!(archives.len(), 1, "{archives:?}");
    archives[0].clone()
}

pub fn name(archive: &serde_json::Value) -> String {
    archive["archive"].as_str().expect("a name").to_owned()
}

pub fn restore(work: &Work, host: &BedHost, archive: &str) -> Run {
    deployer(work, host, &["restore", "production", archive, "--json", "--allow-restore", "production"])
}

fn status(work: &Work, host: &BedHost) -> serde_json::Value {
    deployer(work, host, &["status", "--json"]).expect(0).of("environment")[0].clone()
}

#[test]
fn lost_data_comes_back_from_an_archive_that_is_made_without_stopping_the_tracker() {
    let host = BedHost::docker();
    host.shell("mkdir /root/elsewhere");
    let work = listed(&host, "sqlite", "{ at: \"03:00\", keep_days: 2, after: [cp, \"{archive}\", /root/elsewhere] }");
    let early = deployer(&work, &host, &["backup", "production", "--json"]).expect(64);
    assert_eq!(early.reasons(), ["backup-unknown"]);
    deployer(&work, &host, &["apply", "--json"]).expect(0);
    assert_eq!(deployer(&work, &host, &["apply", "--json"]).expect(0).outcome(), "converged");
    assert_eq!(status(&work, &host)["backup"]["last"], serde_json::Value::Null);

    list(&host, "POST");
    assert!(serves(&host));
    let before = containers(&host);
    let made = backup(&work, &host, &["-o", "kept"]);
    assert_eq!(containers(&host), before, "nothing was restarted");
    let file = work.path("kept").join(name(&made));
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&file).expect("a file").len(), made["bytes"].as_u64().expect("a size"));
    assert_eq!(host.shell(&format!("stat -c '%a %U' {STATE}/{}", name(&made))).trim(), "600 root");
    assert!(host.holds(&format!("cmp {STATE}/{0} /root/elsewhere/{0}", name(&made))), "it was copied elsewhere");
    let listed = Command::new("tar").arg("-tzf").arg(&file).output().expect("tar starts");
    let members = String::from_utf8_lossy(&listed.stdout).into_owned();
    for member in ["backup.json", "SHA256SUMS", "data/tracker.db", "release/.env", "release/compose.yaml"] {
        assert!(members.lines().any(|line| line == format!("./{member}")), "{member} is not in it: {members}");
    }
    let seen = status(&work, &host);
    assert_eq!((&seen["health"], &seen["backup"]["overdue"]), (&"healthy".into(), &false.into()), "{seen}");
    assert_eq!(seen["backup"]["archive"], made["archive"]);

    by_its_timer(&work, &host);
    refused(&work, &host, &file);
    back_again(&work, &host, file.to_str().expect("a path"));
    broken_off(&work, &host, &name(&made));
    interrupted(&work, &host, &name(&made));
    taken_over(&work, &host, &name(&made));
    overdue(&work, &host);
    copy_fails(&work, &host);
}

/// Tests that the timer's unit makes a backup and removes the old backups except the newest one.
fn by_its_timer(work: &Work, host: &BedHost) {
    let unit = "deployer-torrent--production--backup";
    assert_eq!(host.shell(&format!("systemctl is-enabled {unit}.timer")).trim(), "enabled");
    let next = host.shell(&format!("systemctl list-timers {unit}.timer --no-legend"));
    assert!(next.contains("03:00:00"), "{next}");
    let count = || host.shell(&format!("ls {STATE}/*.tar.gz | wc -l")).trim().parse::<usize>().expect("a number");
    assert_eq!(count(), 1);
    host.shell(&format!("systemctl start {unit}.service"));
    assert_eq!(count(), 2);
    host.shell(&format!("touch -d '3 days ago' {STATE}/*.tar.gz"));
    host.shell(&format!("systemctl start {unit}.service"));
    assert_eq!(count(), 1, "those of three days ago went");
    // A failed backup removes none, and reports the reason.
    host.shell(&format!("touch -d '3 days ago' {STATE}/*.tar.gz; mv /opt/deployer/torrent--production/storage/tracker/lib/database /root/away"));
    let failed = deployer(work, host, &["backup", "production", "--json"]).expect(1);
    assert_eq!(failed.reasons(), ["backup-failed"]);
    assert_eq!(count(), 1);
    host.shell("mv /root/away /opt/deployer/torrent--production/storage/tracker/lib/database");
    let seen = status(work, host);
    assert!(seen["backup"]["failed"].as_str().is_some_and(|why| why.contains("is not a database")), "{seen}");
    assert_eq!(host.shell(&format!("ls -A {STATE} | grep -c -e .work -e .new || :")).trim(), "0", "it leaves nothing");
    backup(work, host, &[]);
    assert_eq!(status(work, host)["backup"]["failed"], serde_json::Value::Null);
}

/// Refuses archives that are damaged, foreign or missing, and a restore without consent to lose the current data.
fn refused(work: &Work, host: &BedHost, file: &std::path::Path) {
    let before = containers(host);
    let no = deployer(work, host, &["restore", "production", file.to_str().expect("a path"), "--json"]).expect(6);
    assert_eq!(no.reasons(), ["consent-missing"]);
    let whole = fs::read(file).expect("an archive");
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 0x55;
    let script = "set -e; rm -rf t; mkdir t; tar -C t -xzf \"$1\"; ";
    let remade = |more: &str, to: &str| {
        let script = format!("{script}{more}; tar -C t -czf \"$2\" .");
        let made = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(file)
            .arg(work.path(to))
            .current_dir(work.path("."))
            .status();
        assert!(made.expect("sh starts").success());
    };
    work.write("bent.tar.gz", bent);
    work.write("short.tar.gz", &whole[..whole.len() - 9]);
    work.write("text.tar.gz", "text");
    remade("echo x >> t/data/tracker.db", "changed.tar.gz");
    let sums = "cd t; find . -type f ! -name SHA256SUMS | xargs sha256sum > SHA256SUMS; cd ..";
    remade(&format!("sed -i s/production/staging/ t/backup.json; {sums}"), "other.tar.gz");
    remade(&format!("sed -i s/sqlite/mysql/ t/backup.json; {sums}"), "kind.tar.gz");
    remade(
        &format!("dd if=/dev/zero of=t/data/tracker.db bs=1 seek=4096 count=200 conv=notrunc 2>/dev/null; {sums}"),
        "holes.tar.gz",
    );
    for (archive, why) in [
        ("bent.tar.gz", "It is damaged"),
        ("short.tar.gz", "It is damaged"),
        ("text.tar.gz", "It is damaged"),
        ("changed.tar.gz", "a digest in it does not match"),
        ("other.tar.gz", "It belongs to the environment staging"),
        ("kind.tar.gz", "It contains a mysql database"),
        ("holes.tar.gz", "not a complete SQLite database"),
        ("absent.tar.gz", "The host has no archive absent.tar.gz"),
    ] {
        let refused = restore(work, host, archive).expect(6);
        assert_eq!(refused.reasons(), ["backup-invalid"], "{archive}");
        assert!(refused.of("error")[0]["message"].to_string().contains(why), "{archive}: {}", refused.stdout);
    }
    assert_eq!(restore(work, host, "./absent.tar.gz").expect(64).reasons(), ["backup-unknown"]);
    assert_eq!(containers(host), before, "nothing was touched");
    assert_eq!(host.shell(&format!("ls -A {STATE} | grep -c -e restore -e incoming -e bent || :")).trim(), "0");
}

fn back_again(work: &Work, host: &BedHost, archive: &str) {
    list(host, "DELETE");
    assert!(!serves(host));
    let before = containers(host);
    let done = restore(work, host, archive).expect(0);
    assert_eq!(done.outcome(), "changed");
    assert!(serves(host), "it is back");
    assert_ne!(containers(host), before);
    let left = "find /opt/deployer/torrent--production/storage -name '*before*' -o -name '*.restored'";
    assert_eq!(host.shell(left), "", "what was there before went");
    assert_eq!(deployer(work, host, &["apply", "--json"]).expect(0).outcome(), "converged");
    // The data from before the restore is in a separate archive.
    let all = deployer(work, host, &["restore", "production", "--json"]).expect(0).of("archive");
    assert!(all.len() >= 3, "{all:?}");
    restore(work, host, all[0]["archive"].as_str().expect("a name")).expect(0);
    assert!(!serves(host), "and the way back");
    restore(work, host, archive).expect(0);
    assert!(serves(host));

    // If the data is completely lost, there is nothing to back up first.
    host.shell("cd /opt/deployer/torrent--production/storage/tracker/lib/database && rm -f *");
    let failed = restore(work, host, archive).expect(1);
    assert_eq!(failed.reasons(), ["backup-failed"]);
    let more = ["restore", "production", archive, "--json", "--allow-restore", "production", "--without-backup"];
    deployer(work, host, &more).expect(0);
    assert!(serves(host));
}

/// Kills the runner during a restore, and then the host itself.
fn broken_off(work: &Work, host: &BedHost, archive: &str) {
    list(host, "DELETE");
    let mut child = work
        .command(&["restore", "production", archive, "--allow-restore", "production"])
        .env("TRACKER_TOKEN", SECRETS[0])
        .env("TRACKER_DB_PASSWORD", SECRETS[1])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("deployer starts");
    let begun = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        host.holds(&format!("[ -e {STATE}/restoring ]"))
    });
    child.kill().expect("killed");
    child.wait().expect("an end");
    assert!(begun, "it never began");
    let seen = status(work, host);
    assert_eq!((&seen["health"], &seen["backup"]["restoring"]), (&"unhealthy".into(), &archive.into()), "{seen}");
    restore(work, host, archive).expect(0);
    assert!(serves(host));
    assert_eq!(status(work, host)["health"], "healthy");

    // The host lost power between the stop and the start of the tracker.
    host.shell(&format!(
        "echo \"$(date +%s) {archive}\" > {STATE}/restoring; docker ps -q --filter label=com.docker.compose.service=tracker | xargs docker stop"
    ));
    let refused = deployer(work, host, &["apply", "--json"]).expect(1);
    assert_eq!(refused.reasons(), ["restore-unfinished"]);
    assert!(refused.of("error")[0]["hint"].to_string().contains(archive), "{}", refused.stdout);
    restore(work, host, archive).expect(0);
    assert!(serves(host));
    assert_eq!(deployer(work, host, &["apply", "--json"]).expect(0).outcome(), "converged");
}

/// Starts a restore, and waits until its step began.
fn restoring(work: &Work, archive: &str) -> Underway {
    let mut command = work.command(&["restore", "production", archive, "--json", "--allow-restore", "production"]);
    let command = command.env("TRACKER_TOKEN", SECRETS[0]).env("TRACKER_DB_PASSWORD", SECRETS[1]);
    let mut restore = Underway::start(command);
    assert!(restore.reach(Began("services", 0)));
    restore
}

/// Interrupts a restore, which finishes its step, as an apply does.
fn interrupted(work: &Work, host: &BedHost, archive: &str) {
    list(host, "DELETE");
    let restore = restoring(work, archive);
    restore.signal("-INT");
    let run = restore.end().expect(130);
    assert_eq!((run.outcome(), run.reasons()), ("interrupted".to_owned(), Vec::new()));
    assert_eq!(run.of("step").last().expect("a step")["state"], "applied");
    assert!(serves(host), "the data is back");
    let past = deployer(work, host, &["history", "production", "--offline", "--json"]).expect(0).of("run");
    assert_eq!((&past[0]["command"], &past[0]["outcome"]), (&"restore".into(), &"changed".into()), "{}", past[0]);
}

/// Takes the lease away from a restore that has changed nothing yet.
fn taken_over(work: &Work, host: &BedHost, archive: &str) {
    list(host, "DELETE");
    let before = containers(host);
    let first = restoring(work, archive);
    first.signal("-STOP");
    deployer(work, host, &["unlock", "production", "--yes", "--state", "sqlite:other.db"]).expect(0);
    first.signal("-CONT");
    let late = first.end().expect(4);
    assert_eq!(late.reasons(), ["lease-lost"], "{}", late.stdout);
    let error = late.of("error").remove(0);
    assert!(!error["hint"].to_string().contains("--without-backup"), "{error}");
    assert!(!serves(host) && containers(host) == before, "nothing was replaced");
    assert_eq!(late.of("step").last().expect("a step")["state"], "failed");
    restore(work, host, archive).expect(0);
    assert!(serves(host));
}

fn overdue(work: &Work, host: &BedHost) {
    host.shell(&format!("sed -i \"s/^[0-9]*/$(($(date +%s) - 49 * 3600))/\" {STATE}/made"));
    let judged = deployer(work, host, &["status", "--exit-code", "--json"]).expect(1);
    assert_eq!(judged.reasons(), ["unhealthy"]);
    let seen = status(work, host);
    assert_eq!((&seen["health"], &seen["stage"]), (&"unhealthy".into(), &"running".into()), "{seen}");
    assert_eq!(seen["backup"]["overdue"], true);
    let text = deployer(work, host, &["status"]).expect(0).stdout;
    assert!(text.contains("last backup: 2 days ago, verified; overdue"), "{text}");
    backup(work, host, &[]);
    assert_eq!(status(work, host)["health"], "healthy");
}

fn copy_fails(work: &Work, host: &BedHost) {
    work.edit("deployment.yaml", "after: [cp, ", "after: [sh, -c, 'echo no room there >&2; exit 9', ");
    let before = containers(host);
    deployer(work, host, &["apply", "--json"]).expect(0);
    assert_eq!(containers(host), before, "a schedule restarts nothing");
    let failed = deployer(work, host, &["backup", "production", "--json"]).expect(1);
    assert_eq!(failed.reasons(), ["after-failed"]);
    let archive = name(&failed.of("archive")[0]);
    assert!(host.holds(&format!("[ -s {STATE}/{archive} ]")));
    let seen = status(work, host);
    assert!(
        seen["backup"]["after_failed"].as_str().is_some_and(|why| why.contains("exit code 9: no room there")),
        "{seen}"
    );
}

#[test]
fn mysql_is_dumped_and_restored_while_its_server_runs() {
    let host = BedHost::docker();
    let database = "{ mysql: { password: { from_env: TRACKER_DB_PASSWORD } } }";
    let work = listed(&host, database, "{ at: \"Sun 03:00\" }");
    deployer(&work, &host, &["apply", "--json"]).expect(0);
    list(&host, "POST");
    let before = containers(&host);
    let made = backup(&work, &host, &[]);
    assert_eq!(containers(&host), before, "nothing was restarted");
    list(&host, "DELETE");
    assert!(!serves(&host));
    restore(&work, &host, &name(&made)).expect(0);
    assert!(serves(&host), "it is back");
    assert_eq!(containers(&host)["mysql"], before["mysql"], "its server ran on");
    let names = "docker exec $(docker ps -q --filter label=com.docker.compose.service=mysql) ls /var/lib/mysql";
    assert!(!host.shell(names).contains("deployer_"), "what was there before went");

    // Interrupted after the tables were changed: the data from before the first attempt is kept.
    list(&host, "DELETE");
    host.shell(&format!("echo \"$(date +%s) {}\" > {STATE}/restoring", name(&made)));
    let release = r#"$(sed -n 's/.*"id":"\([^"]*\)".*/\1/p' ../current.json)"#;
    let script = format!("{STATE}/../releases/{release}/tree/storage/backup/etc/backup.sh");
    host.shell(&format!(
        "cd {STATE} && mkdir .restore && tar -C .restore -xzf {} && \
         app=/opt/deployer/torrent--production sh {script} restore {STATE}/.restore/data",
        name(&made)
    ));
    assert!(host.shell(names).contains("deployer_before_restore"));
    restore(&work, &host, &name(&made)).expect(0);
    assert!(serves(&host) && !host.shell(names).contains("deployer_"));
    assert_eq!(deployer(&work, &host, &["apply", "--json"]).expect(0).outcome(), "converged");
    for secret in SECRETS {
        let dump = format!("tar -xzOf {STATE}/{} ./data/tracker.sql ./backup.json ./SHA256SUMS", name(&made));
        assert!(!host.shell(&dump).contains(secret), "the dump holds no password");
    }
}
