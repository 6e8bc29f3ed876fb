//! `deployer test` against a tracker that restricts access: the test creates a key or a torrent and removes it
//! afterwards.

use crate::bed::{BedHost, Work};
use crate::stack::{run, stack};
use std::collections::BTreeMap;

const SECRETS: [&str; 2] = ["token", ""];

/// Returns the number of rows in a table of the tracker's database.
fn rows(host: &BedHost, table: &str) -> u32 {
    let directory = "/opt/deployer/torrent--production/storage/tracker/lib/database";
    let ask = format!("SELECT count(*) FROM {table}");
    let sqlite =
        format!("docker run --rm -v {directory}:/database deployer/backup:1 sqlite3 /database/tracker.db '{ask}'");
    host.shell(&sqlite).trim().parse().expect("a number")
}

/// Returns the verdicts of `deployer test` by check, and asserts that none of them is a failure.
fn verdicts(work: &Work, host: &BedHost) -> BTreeMap<String, (String, String)> {
    let found = run(work, host, &["test", "--json"], SECRETS).expect(0).of("verdict");
    let text = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    found.iter().map(|it| (text(it, "name"), (text(it, "outcome"), text(it, "detail")))).collect()
}

fn passed(found: &BTreeMap<String, (String, String)>, name: &str) {
    let (outcome, detail) = found.get(name).unwrap_or_else(|| panic!("{name} was not checked: {found:?}"));
    assert!(outcome == "passed" && detail.contains("seen over"), "{name}: {outcome}, {detail}");
}

#[test]
fn a_private_and_a_listed_tracker_are_tested_and_keep_nothing_of_it() {
    let host = BedHost::docker();
    let tracker = "        private: true\n        udp: [{ port: 6969 }]\n        http: [{ port: 7070 }]\n        \
                   api: { token: { from_env: TRACKER_TOKEN }, bind: 127.0.0.1 }\n";
    let work = stack(&host, "    configure: { engine: { ipv6: true } }\n", tracker);
    crate::backup::with_sqlite(&work);
    run(&work, &host, &["apply", "--json"], SECRETS).expect(0);
    let (four, six) = (host.ipv4.clone(), host.ipv6.clone());
    let found = verdicts(&work, &host);
    for address in [&four, &six] {
        passed(&found, &format!("HTTP tracker 7070 at {address}"));
    }
    let (outcome, detail) = &found["UDP tracker 6969"];
    assert!(outcome == "skipped" && detail.contains("a private tracker does not start it"), "{outcome}, {detail}");
    assert_eq!(rows(&host, "keys"), 0, "the key was taken back");

    work.edit("deployment.yaml", "private: true", "listed: true");
    run(&work, &host, &["apply", "--json"], SECRETS).expect(0);
    let found = verdicts(&work, &host);
    for address in [&four, &six] {
        passed(&found, &format!("HTTP tracker 7070 at {address}"));
        passed(&found, &format!("UDP tracker 6969 at {address}"));
    }
    assert_eq!(rows(&host, "whitelist"), 0, "the torrent was taken off the list");

    // Both restrictions, with a torrent of the owner, which stays.
    work.edit("deployment.yaml", "listed: true", "listed: true\n        private: true");
    run(&work, &host, &["apply", "--json"], SECRETS).expect(0);
    crate::backup::list(&host, "POST");
    passed(&verdicts(&work, &host), &format!("HTTP tracker 7070 at {four}"));
    assert_eq!((rows(&host, "keys"), rows(&host, "whitelist")), (0, 1));
}
