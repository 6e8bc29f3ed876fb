//! The host cannot run the application because of its system, its engine or its disk. Problems that are found before
//! any change leave no trace. When the host is fixed, the next apply succeeds.

use crate::bed::{BedHost, Work};
use crate::trouble::{fails, fails_untouched, finished, finishes, running, use_demo_2, write_page};

#[test]
fn a_bare_host_that_cannot_be_set_up_is_not_touched() {
    let host = BedHost::bare();
    let work = Work::demo(&host);
    let good = work.read("deployment.yaml");
    let untouched = |reason: &str, telling: &str| {
        fails(work.apply(), reason, 1, telling);
        assert!(!host.holds("[ -e /var/lib/deployer ] || [ -e /opt/deployer ]"), "{reason}: the host was changed");
        assert!(!host.holds("command -v docker >/dev/null"));
    };
    host.fault("os", &["on"]);
    untouched("unsupported-host", "plan9 4");
    host.fault("os", &["off"]);
    host.fault("no-systemd", &["on"]);
    untouched("no-systemd", "systemd");
    host.fault("no-systemd", &["off"]);
    work.edit("deployment.yaml", "    application:", "    configure: { engine: { install: false } }\n    application:");
    untouched("engine-missing", "no running engine");
    work.write("deployment.yaml", &good);
    host.fault("disk-full", &["on", "/var/lib", "100000"]);
    untouched("disk-full", "MiB free");
    host.fault("disk-full", &["off", "/var/lib"]);
    // The package system's last run was killed: the next apply finishes it first.
    host.shell("apt-get -qq update; apt-get -qq -y install --no-install-recommends busybox-static >/dev/null 2>&1; \
                sed -i '/^Package: busybox-static$/,/^$/s/^Status: .*/Status: install ok unpacked/' /var/lib/dpkg/status; \
                touch /var/lib/dpkg/updates/0001");
    finishes(&host, &work, "page one");
    assert!(host.holds("dpkg -s busybox-static | grep -q 'install ok installed'"));
}

#[test]
fn a_running_engine_is_enough_without_systemd_and_a_stopped_one_is_started() {
    let (host, work) = running();
    host.fault("no-systemd", &["on"]);
    write_page(&work, "page two");
    finishes(&host, &work, "page two");
    host.fault("no-systemd", &["off"]);
    // Any operating system works, too.
    host.fault("os", &["on"]);
    write_page(&work, "page three");
    finishes(&host, &work, "page three");
    host.fault("os", &["off"]);

    host.fault("engine-stop", &["on"]);
    assert_eq!(host.page(8080), None);
    let plan = work.run(&["plan", "--json"]).expect(0).of("plan").remove(0);
    assert_eq!(plan["steps"][0]["kind"], "engine", "{plan}");
    finishes(&host, &work, "page three");
    // A stopped engine that cannot start is reported, and the next apply starts it when it can.
    host.shell("systemctl stop docker.socket docker; systemctl mask docker");
    fails(work.apply(), "engine-failed", 1, "masked");
    let status = |command: &str| work.run(&[command, "--json"]).of("environment").remove(0);
    assert_eq!(status("status")["failed"]["kind"], "engine");
    // Somebody starts the engine by hand: the failure is over when everything is as the manifest says.
    host.shell("systemctl unmask docker; systemctl start docker; sleep 5");
    assert_eq!(work.run(&["plan", "--json"]).expect(0).outcome(), "converged");
    assert_eq!(status("list")["failed"], serde_json::Value::Null);
    write_page(&work, "page four");
    finishes(&host, &work, "page four");
}

#[test]
fn a_small_disk_is_found_before_anything_is_done() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    host.shell("systemctl stop docker.socket docker");
    host.fault("disk-full", &["on", "/var/lib/docker", "1000"]);
    host.shell("systemctl start docker");
    fails(work.apply(), "disk-full", 1, "/var/lib/docker");
    assert!(!host.holds("[ -e /var/lib/deployer ] || [ -e /opt/deployer ]"));
    host.shell("systemctl stop docker.socket docker");
    host.fault("disk-full", &["off", "/var/lib/docker"]);
    host.shell("systemctl start docker");
    finishes(&host, &work, "page one");

    // The engine's directory has free space, and those of the releases and of the application have none.
    work.write("app/large.bin", vec![7; 3 << 20]);
    write_page(&work, "page two");
    for place in ["/opt", "/var/lib/deployer"] {
        host.fault("disk-full", &["on", place, "2000"]);
        fails_untouched(&host, &work, "disk-full", 1, place);
        host.fault("disk-full", &["off", place]);
    }
    finishes(&host, &work, "page two");
    // A disk that becomes full while the release is sent.
    host.shell("mount -t tmpfs -o size=16k,mode=700 full /var/lib/deployer/shop--production/releases");
    write_page(&work, "page three");
    assert_eq!(work.apply().code, 1);
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
    host.shell("umount /var/lib/deployer/shop--production/releases");
    finishes(&host, &work, "page three");
}

#[test]
fn a_taken_port_is_reported_and_a_freed_port_is_used() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    host.fault("port-taken", &["on", "8080"]);
    fails(work.apply(), "port-taken", 1, "8080/tcp");
    assert!(!host.holds("docker ps -aq | grep -q ."), "nothing was started");
    host.fault("port-taken", &["off", "8080"]);
    finishes(&host, &work, "page one");
    use_demo_2(&work);
    work.apply().expect(0);
    finished(&host, &work, "page one");
}

#[test]
fn a_wrong_clock_on_the_host_changes_nothing() {
    let (host, work) = running();
    let now = || jiff::Timestamp::now().as_second();
    for (number, (offset, seconds)) in [("+1h", 3600), ("-1h", -3600)].iter().enumerate() {
        host.fault("clock", &["on", offset]);
        let told = work.run(&["ssh", "production", "--", "sudo", "date", "+%s"]).expect(0).stdout;
        let told: i64 = told.trim().parse().expect("seconds");
        assert!((told - now() - seconds).abs() < 60, "the fault {offset} works");
        assert_eq!(work.apply().expect(0).outcome(), "converged");
        let page = format!("page at {offset}");
        write_page(&work, &page);
        finishes(&host, &work, &page);
        let status = work.run(&["status", "--json"]).expect(0).of("environment").remove(0);
        assert_eq!(status["health"], "healthy", "{status}");
        // A release that does not become healthy is replaced by the previous one, however old that seems.
        let good = work.read("app/compose.yaml");
        work.edit("app/compose.yaml", "http://127.0.0.1:8080/", "http://127.0.0.1:9/");
        assert_eq!(work.apply().expect(1).reasons(), ["rolled-back"]);
        assert_eq!(host.page(8080).as_deref().map(str::trim_end), Some(page.as_str()));
        work.write("app/compose.yaml", good);
        finished(&host, &work, &page);
        let back = work.run(&["rollback", "production", "--json"]).expect(0);
        assert_eq!(back.outcome(), "changed");
        assert_ne!(host.page(8080).as_deref().map(str::trim_end), Some(page.as_str()));
        write_page(&work, &format!("after {number}"));
        finishes(&host, &work, &format!("after {number}"));
        host.fault("clock", &["off"]);
    }
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}
