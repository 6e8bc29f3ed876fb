//! Commands that people run on hosts by hand: commands in containers, restarts, a shell, and their entries in the
//! history.

use crate::bed::{BedHost, Run, Work, bed_value};
use crate::scene::{STATE, containers, duo};
use crate::trouble::Point::Began;
use crate::trouble::{Underway, in_doubt, running};
use std::io::Write as _;
use std::process::Stdio;

/// Runs deployer with `input` on its standard input.
fn fed(work: &Work, arguments: &[&str], input: &[u8]) -> Run {
    let mut command = work.command(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("written");
    let output = child.wait_with_output().expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn exec_restart_ssh_and_the_history_of_it() {
    let host = BedHost::docker();
    let work = duo(&host);
    let without_a_release: [&[&str]; 5] = [
        &["exec", "production", "web", "--", "true"],
        &["logs", "production"],
        &["logs", "production", "web"],
        &["restart", "production"],
        &["rollback", "production", "--yes"],
    ];
    for command in without_a_release {
        let said = work.run(command).expect(1).stderr;
        assert!(said.contains("production has no release on its host"), "{command:?}: {said}");
        assert!(said.contains("Run deployer apply production first"), "{command:?}: {said}");
    }
    work.apply().expect(0);

    // Arguments, output, errors and the exit code pass unchanged.
    let run = work.run(&[
        "exec",
        "production",
        "web",
        "--",
        "sh",
        "-c",
        "echo \"$0|$1\"; echo oh >&2; exit 7",
        "it's $x \\",
        "-a",
    ]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.contains("oh")), (7, "it's $x \\|-a\n", true), "{run:?}");
    let run = fed(&work, &["exec", "production", "web", "--", "cat"], b"from here\n").expect(0);
    assert_eq!(run.stdout, "from here\n");
    let run =
        work.run(&["exec", "production", "web", "--json", "--", "sh", "-c", "cat /www/index.html; exit 3"]).expect(3);
    assert_eq!((run.of("output")[0]["text"].as_str(), run.outcome()), (Some("page one\n"), "failed".to_owned()));
    let run = work.run(&["ssh", "production", "--", "id", "-un"]).expect(0);
    assert_eq!(run.stdout, "deploy\n");
    let shell = fed(&work, &["ssh", "production"], b"echo $((6 * 7)); exit 5\n").expect(5);
    assert!(shell.stdout.ends_with("\n42\n"), "{shell:?}");
    // With a terminal here, the command gets a terminal on the host.
    let line = format!("{} exec production web -- tty", env!("CARGO_BIN_EXE_deployer"));
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(work.directory.path()).stdin(Stdio::null());
    let typed = Work::finish(&mut command).expect(0);
    assert!(typed.stdout.contains("/dev/pts/"), "{typed:?}");

    // A restart affects one service or all services, and ends when they are healthy.
    let before = containers(&host);
    let run = work.run(&["restart", "production", "side", "--json"]).expect(0);
    assert_eq!((run.outcome(), run.of("environment")[0]["health"].as_str()), ("changed".to_owned(), Some("healthy")));
    let after = containers(&host);
    assert_eq!(after["web"], before["web"]);
    assert_ne!(after["side"], before["side"]);
    work.run(&["restart", "production"]).expect(0);
    assert_ne!(containers(&host)["web"], before["web"]);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert_eq!(work.run(&["restart", "production", "sied", "--json"]).expect(64).reasons(), ["usage"]);
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // The history lists runs with the newest first, and names the failed steps.
    work.edit("app/compose.yaml", "httpd, -f", "nonsense, -f");
    work.apply().expect(1);
    let history = work.run(&["history", "production", "--json"]).expect(0).of("run");
    let line =
        |run: &serde_json::Value| format!("{} {} {}", run["command"], run["outcome"], run["failed"]).replace('"', "");
    let lines: Vec<String> = history.iter().map(line).collect();
    let failed = "apply failed [{environment:production,kind:services}]";
    assert_eq!(lines, [failed, "restart changed []", "restart changed []", "apply changed []"]);
    assert!(history.iter().all(|run| run["duration_ms"].as_u64().is_some() && run["environments"][0] == "production"));
    let table = work.run(&["history", "--limit", "1"]).expect(0).stdout;
    assert!(table.contains("production services") && table.lines().count() == 2, "{table}");

    // The inventory contains what is needed to reach the host.
    let text = work.run(&["inventory", "--format", "json"]).expect(0).stdout;
    let inventory: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let variables = &inventory["_meta"]["hostvars"]["production"];
    assert_eq!(variables["ansible_host"], host.ipv4.as_str());
    assert_eq!(variables["ansible_ssh_private_key_file"], bed_value("BED_KEY").display().to_string());

    // A host that answers with another key gets no shell.
    host.fault("host-key", &[]);
    for command in [&["ssh", "production", "--", "true"][..], &["exec", "production", "web", "--", "true"]] {
        let run = work.run(command).expect(7);
        assert!(run.stderr.contains("not a key pinned"), "{run:?}");
    }
}

/// The store of another runner.
const OTHER: &str = "sqlite:other.db";

/// Starts a restart, and waits until its step began.
fn restarting(work: &Work) -> Underway {
    let mut restart = Underway::start(&mut work.command(&["restart", "production", "--json"]));
    assert!(restart.reach(Began("services", 0)));
    restart
}

#[test]
fn a_restart_that_is_interrupted_or_loses_its_lease_ends_as_an_apply_does() {
    let (host, work) = running();
    let before = containers(&host);
    let restart = restarting(&work);
    restart.signal("-INT");
    let run = restart.end().expect(130);
    let states: Vec<_> = run.of("step").iter().map(|step| step["state"].clone()).collect();
    assert_eq!((states, run.outcome()), (vec!["started".into(), "applied".into()], "interrupted".to_owned()));
    assert_ne!(containers(&host), before, "the running step was finished");
    assert_eq!(in_doubt(&work), 0, "the journal is settled");
    assert!(!host.holds(&format!("[ -e {STATE}/lease ]")), "the lease was given back");

    let restart = restarting(&work);
    restart.signal("-STOP");
    work.run(&["unlock", "production", "--yes", "--state", OTHER]).expect(0);
    restart.signal("-CONT");
    // The other run may have come after the only command of the restart.
    let late = restart.end();
    assert!(late.code == 0 || late.code == 4 && late.reasons() == ["lease-lost"], "{}", late.stdout);
    assert_eq!(in_doubt(&work), 0, "the journal is settled");

    // A run that does not get the lease is in the history too.
    let holder = restarting(&work);
    holder.signal("-STOP");
    let busy = work.run(&["restart", "production", "--wait", "0s", "--json", "--state", OTHER]).expect(4);
    assert_eq!((busy.outcome(), busy.reasons()), ("busy".to_owned(), vec!["lease-held".to_owned()]));
    let past = work.run(&["history", "--offline", "--json", "--state", OTHER]).expect(0).of("run");
    assert_eq!((&past[0]["command"], &past[0]["outcome"]), (&"restart".into(), &"failed".into()), "{}", past[0]);
    holder.signal("-CONT");
    holder.end().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}
