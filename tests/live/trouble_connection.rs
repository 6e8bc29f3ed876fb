//! The connection fails: each cause has its reason, nothing on the host is touched, and when the cause is fixed, the
//! next apply succeeds.

use crate::bed::{BedHost, Work, bed_value};
use crate::trouble::{fails, fails_untouched, finishes, running, write_page};

/// Runs `ssh-keygen` for a new key with this passphrase, which may be empty.
fn make_key(work: &Work, name: &str, passphrase: &str) {
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-f"])
        .arg(work.path(name))
        .status();
    assert!(made.expect("ssh-keygen starts").success());
}

/// Breaks the manifest by a replacement of text, asserts the failure, and restores the manifest.
fn with(host: &BedHost, work: &Work, from: &str, to: &str, expected: (&str, i32, &str)) {
    let good = work.read("deployment.yaml");
    work.edit("deployment.yaml", from, to);
    fails_untouched(host, work, expected.0, expected.1, expected.2);
    work.write("deployment.yaml", good);
}

#[test]
fn a_wrong_way_to_the_host_has_its_reason_and_touches_nothing() {
    let (host, work) = running();
    make_key(&work, "stranger", "");
    make_key(&work, "locked", "a passphrase");
    let key = bed_value("BED_KEY");
    let key = key.to_str().expect("text");
    let address = format!("address: {} }}", host.ipv4);
    write_page(&work, "page two");

    with(&host, &work, &address, "address: no-such-host.invalid }", ("name-resolution", 7, "no-such-host.invalid"));
    with(&host, &work, "user: deploy", "port: 2, user: deploy", ("connection-refused", 7, "port 2"));
    with(&host, &work, key, "./stranger", ("authentication-rejected", 7, &host.ipv4));
    with(&host, &work, "user: deploy", "user: nobody-here", ("authentication-rejected", 7, &host.ipv4));
    with(&host, &work, key, "./locked", ("key-passphrase", 7, "locked"));
    // Without a pin and without the store, which recorded the key at the first contact, the key is unknown.
    std::fs::rename(work.path(".deployer"), work.path("away")).expect("moved");
    with(&host, &work, &format!("host_key: [\"{}\"], ", host.host_key()), "", ("host-key-unknown", 7, "SHA256:"));
    std::fs::remove_dir_all(work.path(".deployer")).expect("removed");
    std::fs::rename(work.path("away"), work.path(".deployer")).expect("moved");
    finishes(&host, &work, "page two");
}

#[test]
fn a_locked_key_is_reported_before_anything_connects() {
    let work = Work::empty();
    make_key(&work, "locked", "a passphrase");
    // With an address of the range for documentation, a connection would never be answered.
    work.write(
        "deployment.yaml",
        "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: { address: 203.0.113.1 }\n    \
         ssh: { identity_file: ./locked, connect_timeout: 60s }\n",
    );
    let begun = std::time::Instant::now();
    fails(work.apply(), "key-passphrase", 7, "locked");
    assert!(begun.elapsed().as_secs() < 10);
}

#[test]
fn a_host_that_changed_or_fell_silent_is_left_alone() {
    let (host, work) = running();
    write_page(&work, "page two");
    let good = work.read("deployment.yaml");
    let pin = format!("host_key: [\"{}\"], ", host.host_key());

    host.fault("host-key", &["on"]);
    fails_untouched(&host, &work, "host-key-changed", 7, "pinned in ssh.host_key");
    // Without a pin, the key recorded at the first contact is in force.
    work.edit("deployment.yaml", &pin, "");
    write_page(&work, "page three");
    fails_untouched(&host, &work, "host-key-changed", 7, "recorded at the first contact");
    host.fault("host-key", &["off"]);
    finishes(&host, &work, "page three");
    work.write("deployment.yaml", &good);

    write_page(&work, "page four");
    host.fault("sshd-stop", &["on"]);
    fails_untouched(&host, &work, "connection-refused", 7, &host.ipv4);
    host.fault("sshd-stop", &["off"]);
    work.edit("deployment.yaml", "wait: 0s", "wait: 0s, connect_timeout: 2s");
    host.fault("drop", &["on"]);
    fails_untouched(&host, &work, "connection-timeout", 7, &host.ipv4);
    host.fault("drop", &["off"]);
    finishes(&host, &work, "page four");
}

#[test]
fn a_silent_host_is_waited_for() {
    let (host, work) = running();
    write_page(&work, "page two");
    work.edit("deployment.yaml", "wait: 0s", "wait: 60s, connect_timeout: 1s");
    host.fault("drop", &["on"]);
    let run = std::thread::scope(|scope| {
        let apply = scope.spawn(|| work.apply());
        std::thread::sleep(std::time::Duration::from_secs(4));
        host.fault("drop", &["off"]);
        apply.join().expect("an end")
    });
    assert_eq!(run.expect(0).outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
}

#[test]
fn missing_sudo_and_sudo_that_asks_are_different_failures() {
    let (host, work) = running();
    write_page(&work, "page two");
    host.fault("no-sudo", &["on"]);
    // The user may not use sudo at all. Sudo still asks for a password first.
    fails_untouched(&host, &work, "sudo-password", 1, &host.ipv4);
    host.fault("no-sudo", &["off"]);
    finishes(&host, &work, "page two");

    write_page(&work, "page three");
    host.shell("echo 'deploy ALL=(ALL) ALL' > /etc/sudoers.d/deploy; echo 'deploy:correct horse' | chpasswd");
    fails_untouched(&host, &work, "sudo-password", 1, "password is required");
    work.write("sudo-password", "wrong horse\n");
    work.edit("deployment.yaml", "user: deploy", "user: deploy, sudo_password: { from_file: ./sudo-password }");
    fails_untouched(&host, &work, "sudo-password", 1, "rejects the password");
    work.write("sudo-password", "correct horse\n");
    finishes(&host, &work, "page three");

    write_page(&work, "page four");
    host.shell("mv /usr/bin/sudo /usr/bin/sudo.away");
    fails_untouched(&host, &work, "sudo-missing", 1, "sudo");
    host.shell("mv /usr/bin/sudo.away /usr/bin/sudo");
    finishes(&host, &work, "page four");
}
