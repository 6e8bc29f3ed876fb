//! The main job: from bare to running, then nothing to do; edits, removals, destruction.

use crate::bed::{BedHost, Work};

#[test]
fn a_bare_host_becomes_running_and_a_second_apply_changes_nothing() {
    let host = BedHost::bare();
    let work = Work::demo(&host);
    let first = work.apply().expect(0);
    assert_eq!(first.outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));

    let started = host.shell("docker inspect -f '{{.State.StartedAt}}' $(docker ps -q)");
    let second = work.apply().expect(0);
    assert_eq!(second.outcome(), "converged");
    assert_eq!(host.shell("docker inspect -f '{{.State.StartedAt}}' $(docker ps -q)"), started);
}
