//! A sample of the kill schedule. The script inspects the hosts and prints its findings.

use std::process::{Command, Stdio};

#[test]
fn the_next_apply_repairs_what_runners_killed_at_random_points_left() {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kill-schedule.sh"))
        .args(["10", env!("CARGO_BIN_EXE_deployer")])
        .stdin(Stdio::null())
        .output()
        .expect("the script starts");
    let (said, trouble) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{trouble}");
    assert_eq!(said.lines().last(), Some("runs 10, converged 10, doubled 0, lost 0"));
}
