//! The runner, or its command on the host, is killed: the store opens, the next apply waits for commands that still run
//! and continues from the state of the host, and nothing is duplicated.

use crate::bed::{BedHost, Work};
use crate::trouble::Point::{self, Began, Planned, Waiting};
use crate::trouble::{Underway, finishes, in_doubt, running, use_demo_2, write_page};

/// Kills applies at these points, one after the other, and returns the number of those that reached their point.
fn kill_at(work: &Work, points: &[Point]) -> usize {
    let kill = |point: &&Point| {
        let mut apply = Underway::apply(work);
        let reached = apply.reach(**point);
        apply.kill();
        assert!(in_doubt(work) <= 1, "one step at a time was begun");
        reached
    };
    points.iter().filter(kill).count()
}

#[test]
fn a_runner_killed_again_and_again_still_gets_a_bare_host_running() {
    let host = BedHost::bare();
    let work = Work::demo(&host);
    let mut killed = kill_at(&work, &[Planned, Began("access", 0)]);
    // A command of a killed runner continues, and the next runner waits for it. A host that loses power leaves Debian's
    // packages half installed.
    let mut apply = Underway::apply(&work);
    assert!(apply.reach(Began("engine", 4000)));
    host.fault("reboot", &["on"]);
    apply.kill();
    host.fault("reboot", &["off"]);
    killed += kill_at(
        &work,
        &[
            Began("engine", 500),
            Began("files", 50),
            Began("images", 0),
            Began("images", 30),
            Began("services", 0),
            Waiting,
        ],
    );
    assert!(killed >= 6, "only {killed} were killed under way");
    finishes(&host, &work, "page one");
    assert_eq!(in_doubt(&work), 0);
}

#[test]
fn a_runner_killed_in_an_update_leaves_it_to_the_next() {
    let (host, work) = running();
    let points = [
        Began("files", 0),
        Began("files", 100),
        Began("images", 100),
        Began("services", 0),
        Began("services", 60),
        Began("services", 250),
        Waiting,
    ];
    use_demo_2(&work);
    for (number, point) in points.iter().enumerate() {
        let page = format!("page after {number}");
        write_page(&work, &page);
        work.write(&format!("app/html/more-{number}.txt"), vec![b'x'; 200_000]);
        kill_at(&work, std::slice::from_ref(point));
        finishes(&host, &work, &page);
        assert_eq!(in_doubt(&work), 0);
    }
}

#[test]
fn a_killed_update_can_be_followed_by_another_one() {
    let (host, work) = running();
    for (number, point) in [Began("files", 60), Began("services", 50), Waiting].into_iter().enumerate() {
        write_page(&work, "never seen to the end");
        work.write("app/only-once.txt", "soon gone\n");
        kill_at(&work, &[point]);
        std::fs::remove_file(work.path("app/only-once.txt")).expect("removed");
        let page = format!("page after {number}");
        write_page(&work, &page);
        finishes(&host, &work, &page);
        assert!(!host.holds("[ -e /opt/deployer/shop--production/only-once.txt ]"), "after {point:?}");
    }
}

#[test]
fn a_switch_killed_on_the_host_itself_is_taken_up() {
    let (host, work) = running();
    // The host's own shell dies during the switch, after the first of many files.
    for number in 0..300 {
        work.write(&format!("app/html/{number:03}.txt"), format!("{number}\n"));
    }
    write_page(&work, "page two");
    let mut apply = Underway::apply(&work);
    assert!(apply.reach(Began("services", 0)));
    host.shell(
        "n=0; until [ -e /opt/deployer/shop--production/html/020.txt ] || [ $n -gt 1000 ]; do n=$((n + 1)); sleep 0.01; done; \
         pkill -9 -f 'deployer-begi[n]'",
    );
    // To the runner, that looks like a broken connection: the same run learns that the command died, and starts it
    // again.
    let run = apply.end().expect(0);
    assert!(run.stdout.contains("connecting again"), "{}", run.stdout);
    finishes(&host, &work, "page two");
    assert!(host.holds("[ \"$(cat /opt/deployer/shop--production/html/299.txt)\" = 299 ]"));
}

#[test]
fn a_container_that_compose_left_half_replaced_is_finished() {
    let (host, work) = running();
    // The state after a killed Compose: the successor under its temporary name, with the old container still there or
    // removed.
    let successor = "docker create --name 0123456789ab_shop--production-web-1 --label com.docker.compose.project=shop--production \
                     --label com.docker.compose.service=web --label com.docker.compose.oneoff=False \
                     --label com.docker.compose.container-number=1 --label com.docker.compose.config-hash=other demo:1";
    for (page, then) in [("page two", ":"), ("page three", "docker rm -f shop--production-web-1")] {
        host.shell(&format!("{successor} && {then}"));
        write_page(&work, page);
        finishes(&host, &work, page);
        assert_eq!(host.shell("docker ps -a --format '{{.Names}}'").trim(), "shop--production-web-1");
    }
}
