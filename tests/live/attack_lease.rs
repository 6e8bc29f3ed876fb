//! Leases during failures of the host: with a full disk, every environment can still be managed and no count of tokens
//! is lost, and the lease of a busy run is kept by one session at a time.

use crate::bed::{BedHost, Run, Work};
use crate::scene::STATE;
use crate::trouble::running;

/// Returns a number that the host keeps.
fn number(host: &BedHost, file: &str) -> u64 {
    host.shell(&format!("cat {STATE}/{file}")).trim().parse().expect("a number")
}

#[test]
fn an_environment_on_a_full_disk_is_suspended_resumed_and_destroyed() {
    let (host, work) = running();
    assert!(host.holds(&format!("[ $(stat -c %s {STATE}/reserve) = 65536 ]")));
    let (token, serial) = (number(&host, "token"), number(&host, "serial"));
    // Without its reserve, the host keeps its data, and the hint names the full directory.
    host.shell(&format!("mv {STATE}/reserve /root/"));
    host.fault("disk-full", &["on", "/var/lib/deployer", "0"]);
    for arguments in [
        &["suspend", "production", "--json"][..],
        &["destroy", "production", "--allow-destroy", "production", "--json"],
    ] {
        let refused: Run = work.run(arguments).expect(1);
        assert_eq!(refused.reasons(), ["disk-full"], "{}", refused.stdout);
        let hint = refused.of("error")[0]["hint"].as_str().expect("a hint").to_owned();
        assert!(hint.contains(STATE), "{hint}");
    }
    host.fault("disk-full", &["off", "/var/lib/deployer"]);
    assert!(number(&host, "token") >= token && number(&host, "serial") == serial);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"), "nothing was half done");

    host.shell(&format!("mv /root/reserve {STATE}/"));
    host.fault("disk-full", &["on", "/var/lib/deployer", "0"]);
    assert!(!host.holds("echo x 2>/dev/null >/var/lib/deployer/x"), "the fault works");
    host.shell("rm -f /var/lib/deployer/x");
    for command in ["suspend", "resume"] {
        assert_eq!(work.run(&[command, "production", "--json"]).expect(0).outcome(), "changed");
    }
    assert!(number(&host, "token") > token && number(&host, "serial") > serial);
    work.run(&["destroy", "production", "--allow-destroy", "production", "--json"]).expect(0);
    assert!(!host.holds("docker ps -aq | grep -q .") && !host.holds(&format!("[ -e {STATE}/reserve ]")));
    host.fault("disk-full", &["off", "/var/lib/deployer"]);
    work.run(&["resume", "production"]).expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
}

#[test]
fn a_run_whose_only_session_is_busy_keeps_its_lease() {
    let host = BedHost::docker();
    host.shell("echo 'MaxSessions 1' > /etc/ssh/sshd_config.d/one.conf; systemctl reload ssh");
    let work = Work::demo(&host);
    // The script makes its lease 45 seconds old, and runs longer than the rest of the lease.
    let age = format!(
        "cd {STATE} && read -r token beat rest < lease && echo \\\"$token $((beat - 45)) $rest\\\" > lease.aged && \
         mv lease.aged lease && sleep 22 && touch /root/long"
    );
    work.edit(
        "deployment.yaml",
        "    application:",
        &format!(
            "    configure: {{ scripts: [ {{ name: long, check: \"test -e /root/long\", run: \"{age}\" }}, \
             {{ name: after, check: \"test -e /root/after\", run: \"touch /root/after\" }} ] }}\n    application:"
        ),
    );
    let applied = work.apply().expect(0);
    assert_eq!(applied.outcome(), "changed");
    assert!(host.holds("[ -e /root/after ]"));
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert!(!host.holds(&format!("[ -e {STATE}/lease ]")), "it was given back");
}
