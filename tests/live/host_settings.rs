//! Updates, scripts and schedules of two environments that share a host: applied, left unchanged, corrected, undone.

use crate::bed::{BedHost, Run, Work};
use crate::scene::{STATE, entry, several, summary};

const FILE: &str = "/etc/apt/apt.conf.d/60-deployer";
const TIMER: &str = "deployer-shop--production--tick.timer";

const CONFIGURE: &str = "    configure:
      security_updates: { reboot_at: \"02:00\" }
      scripts:
        - { name: greet, check: \"grep -qx hello /etc/greeting\", file: ./greet.sh, undo: \"rm /etc/greeting; echo undone >>/etc/log\" }
      schedules:
        - { name: tick, at: \"Sun 04:00\", run: \"pwd >/run/tick\" }
";

const GREET: &str = "#!/bin/sh\necho \"ran $0\" >>/etc/log\necho hello >/etc/greeting\n";

/// Writes a manifest of both environments, with each one's settings of the host.
fn both(host: &BedHost, work: &Work, production: &str, staging: &str) {
    let environments = entry(host, work, "production", 8080, production) + &entry(host, work, "staging", 8081, staging);
    several(host, work, &environments);
}

fn planned(work: &Work) -> Vec<String> {
    summary(&work.run(&["plan", "production", "--json"]).expect(0))
}

fn details(run: &Run) -> String {
    run.of("error")[0]["details"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn updates_scripts_and_schedules_come_are_kept_and_go() {
    let host = BedHost::bare();
    let work = Work::empty();
    work.write("greet.sh", GREET);
    both(&host, &work, CONFIGURE, CONFIGURE);

    // Both install Docker and run the same script at the same time: they wait for each other.
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.shell("grep -c ran /etc/log"), "1\n");
    assert!(host.shell("apt-config dump Unattended-Upgrade").contains("Automatic-Reboot-Time \"02:00\""));
    host.shell("unattended-upgrade --dry-run && systemctl is-active apt-daily-upgrade.timer");
    assert_eq!(host.shell(&format!("systemctl is-enabled {TIMER}; systemctl is-active {TIMER}")), "enabled\nactive\n");
    host.shell(&format!("[ ! -e /run/tick ] && systemctl start {}", TIMER.replace(".timer", ".service")));
    assert_eq!(host.shell("cat /run/tick"), format!("{}\n", crate::scene::APP));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    host.shell(&format!("rm /etc/greeting; echo '// mine' >>{FILE}; systemctl stop {TIMER}"));
    assert_eq!(planned(&work), ["updates update drifted", "scripts update drifted", "schedules update drifted"]);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(
        host.shell(&format!("cat /etc/greeting; grep -c mine {FILE} || systemctl is-active {TIMER}")),
        "hello\n0\nactive\n"
    );
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // The error names the invalid setting, and nothing else is changed.
    let units = host.shell("cat /etc/systemd/system/deployer-*");
    both(&host, &work, &CONFIGURE.replace("Sun 04:00", "never o'clock"), CONFIGURE);
    let refused = work.apply().expect(1);
    assert_eq!(refused.reasons(), ["schedule-invalid"]);
    assert!(
        details(&refused).contains("schedule tick") && details(&refused).contains("never o'clock"),
        "{}",
        details(&refused)
    );
    assert_eq!(host.shell("cat /etc/systemd/system/deployer-*"), units);
    work.write("greet.sh", "echo deep trouble >&2\nexit 3\n");
    both(&host, &work, &CONFIGURE.replace("hello", "hullo"), CONFIGURE);
    let failed = work.apply().expect(1);
    assert_eq!(failed.reasons(), ["script-failed"]);
    assert!(details(&failed).contains("deep trouble\nThe script greet exited with 3"), "{}", details(&failed));

    // When the last environment that uses a setting is destroyed, the setting is removed with it.
    both(&host, &work, "", CONFIGURE);
    assert_eq!(planned(&work), ["updates remove differs", "scripts remove differs", "schedules remove differs"]);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert!(host.holds(&format!("[ -e {FILE} ] && [ -e /etc/greeting ] && ! systemctl cat {TIMER} >/dev/null 2>&1")));
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    work.write("greet.sh", GREET);
    both(&host, &work, CONFIGURE, CONFIGURE);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    both(&host, &work, CONFIGURE, "");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert!(host.holds(&format!("[ -e {FILE} ] && [ -e /etc/greeting ]")));
    work.run(&["destroy", "production", "--allow-destroy", "production", "--json"]).expect(0);
    assert_eq!(host.shell("tail -n 1 /etc/log"), "undone\n");
    assert_eq!(host.shell(&format!("ls -d {FILE}* /etc/greeting /etc/systemd/system/*deployer* /etc/systemd/system/*/*deployer* /var/lib/systemd/timers/*deployer* 2>/dev/null || :")), "");
    assert_eq!(host.shell(&format!("cd {STATE} && find . | grep -E 'updates|script|schedules' || :")), "");
    assert!(host.holds("[ -x /usr/bin/unattended-upgrade ]"));
}
