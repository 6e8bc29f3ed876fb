//! An apply that does not complete although nobody killed it: it is interrupted by a signal, its host reboots, or its
//! network is cut. The next apply continues from the state of the host.

use crate::bed::{BedHost, Work, image};
use crate::trouble::Point::{Began, Waiting};
use crate::trouble::{Underway, finished, finishes, in_doubt, running, use_demo_2, write_page};

#[test]
fn a_signal_lets_the_running_step_finish() {
    let (host, work) = running();
    for (signal, code, page) in [("-INT", 130, "page two"), ("-TERM", 143, "page three")] {
        write_page(&work, page);
        let mut apply = Underway::apply(&work);
        assert!(apply.reach(Began("files", 0)));
        apply.signal(signal);
        let run = apply.end().expect(code);
        assert_eq!(run.outcome(), "interrupted");
        assert_eq!(run.of("result")[0]["exit_code"], code);
        let ended: Vec<_> = run.of("step").iter().map(|step| (step["kind"].clone(), step["state"].clone())).collect();
        assert_eq!(ended.len(), 2, "the running step ended, none began after it: {ended:?}");
        assert_eq!(ended[1], ("files".into(), "applied".into()));
        assert_eq!(in_doubt(&work), 0, "the journal is settled");
        assert_ne!(host.page(8080).as_deref().map(str::trim_end), Some(page));
        finishes(&host, &work, page);
    }
    // A second signal ends the run at once.
    work.edit("app/compose.yaml", "http://127.0.0.1:8080/", "http://127.0.0.1:9/");
    let mut apply = Underway::apply(&work);
    assert!(apply.reach(Waiting));
    apply.signal("-INT");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let begun = std::time::Instant::now();
    apply.signal("-INT");
    assert_eq!(apply.end().expect(130).outcome(), "interrupted");
    assert!(begun.elapsed().as_secs() < 5);
    work.edit("app/compose.yaml", "http://127.0.0.1:9/", "http://127.0.0.1:8080/");
    finishes(&host, &work, "page three");
}

#[test]
fn a_host_that_reboots_in_the_middle_is_finished_by_the_next_apply() {
    let (host, work) = running();
    use_demo_2(&work);
    for (number, point) in
        [Began("files", 30), Began("images", 150), Began("services", 150), Waiting].iter().enumerate()
    {
        let page = format!("page after {number}");
        write_page(&work, &page);
        if number == 1 {
            host.shell("docker rmi -f demo:2 >/dev/null");
            work.link("demo2.tar", &image("demo-2.tar"));
        }
        let mut apply = Underway::apply(&work);
        let reached = apply.reach(*point);
        host.fault("reboot", &["on"]);
        let run = apply.end();
        assert!(
            run.code == 0 || run.reasons() == ["connection-lost"] && run.code == 7,
            "{point:?} {reached}: {}",
            run.stdout
        );
        host.fault("reboot", &["off"]);
        finishes(&host, &work, &page);
    }
}

#[test]
fn a_network_cut_in_the_middle_is_noticed_and_taken_up() {
    let (host, work) = running();
    write_page(&work, "page two");
    let mut apply = Underway::apply(&work);
    assert!(apply.reach(Began("services", 50)));
    let begun = std::time::Instant::now();
    host.fault("drop", &["on"]);
    let run = apply.end();
    host.fault("drop", &["off"]);
    assert_eq!((run.code, run.reasons()), (7, vec!["connection-lost".to_owned()]), "{}", run.stdout);
    assert!(begun.elapsed().as_secs() < 90, "noticed after {:?}", begun.elapsed());
    assert_eq!(run.of("step").last().expect("a step")["state"], "failed");
    finishes(&host, &work, "page two");
    finished(&host, &work, "page two");
}

#[test]
fn a_broken_connection_is_made_again_and_nothing_is_begun_twice() {
    let host = BedHost::bare();
    let work = Work::demo(&host);
    work.edit("deployment.yaml", "wait: 0s", "wait: 30s");
    let cut = || host.shell("pgrep -u deploy sshd | xargs -r kill");
    let mut apply = Underway::apply(&work);
    for point in [Began("engine", 3000), Began("files", 0), Began("images", 50), Began("services", 100)] {
        assert!(apply.reach(point), "{point:?}");
        cut();
    }
    assert!(apply.reach(Waiting));
    cut();
    let run = apply.end().expect(0);
    assert!(run.stdout.contains("wait until the host has finished: install Docker"), "{}", run.stdout);
    let installs = "grep -c '^Commandline:.* install .*docker' /var/log/apt/history.log";
    assert_eq!(
        host.shell(installs).trim(),
        "1",
        "Docker was installed once: {}",
        host.shell("cat /var/log/apt/history.log")
    );
    finishes(&host, &work, "page one");
}
