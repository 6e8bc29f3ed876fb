//! A compromised tracker replaces its data, and an attacker provides an archive made to reach more of the host than
//! data. Nothing outside is read, written or run, and honest backups and restores still work.

use crate::backup::{backup, deployer, list, listed, name, restore, serves};
use crate::bed::{BedHost, Work};
use std::time::{Duration, Instant};

const APP: &str = "/opt/deployer/torrent--production";
const STATE: &str = "/var/lib/deployer/torrent--production/backups";

fn victims(host: &BedHost) -> String {
    host.shell("cd /etc/victim && stat -c '%n %a %u:%g %F %h' . * && sha256sum *")
}

#[test]
fn a_tracker_that_was_taken_over_and_a_hostile_archive_reach_nothing_but_data() {
    let host = BedHost::docker();
    let work = listed(&host, "sqlite", "{ at: \"03:00\" }");
    deployer(&work, &host, &["apply", "--json"]).expect(0);
    list(&host, "POST");
    let archive = name(&backup(&work, &host, &["-o", "kept"]));
    let data = format!("{APP}/storage/tracker/lib/database");
    host.shell(&format!(
        "mkdir -m 700 /etc/victim && cp {data}/tracker.db /etc/victim/ && echo precious >/etc/victim/file"
    ));
    let before = victims(&host);
    in_place_of_data(&work, &host, &data);
    assert_eq!(victims(&host), before);
    hostile_archives(&work, &host, &archive);
    assert_eq!(victims(&host), before);

    // Root runs only its own scripts, whatever is in the application's directory. Links in the place of restored data
    // are replaced.
    for script in ["backup.sh", "guard.sh", "mounted.sh"] {
        host.shell(&format!("echo 'touch /etc/victim/run' >{APP}/storage/backup/etc/{script}"));
    }
    list(&host, "DELETE");
    assert!(!serves(&host));
    let names = "tracker.db-journal tracker.db.before-restore tracker.db.restored .deployer-new.x";
    host.shell(&format!("cd {data} && for n in {names}; do ln -s /etc/victim/file $n; done"));
    host.shell("systemctl start deployer-torrent--production--backup.service");
    restore(&work, &host, &archive).expect(0);
    assert!(serves(&host), "the data is back");
    assert_eq!(victims(&host), before);

    deployer(&work, &host, &["apply", "--json"]).expect(0);
    assert_eq!(deployer(&work, &host, &["apply", "--json"]).expect(0).outcome(), "converged");
    deployer(&work, &host, &["destroy", "production", "--allow-destroy", "production", "--yes"]).expect(0);
    assert_eq!(victims(&host), before);
}

/// Replaces the data with a link to another database, a link to a directory, and a pipe.
fn in_place_of_data(work: &Work, host: &BedHost, data: &str) {
    for plant in [
        "mv tracker.db away && ln -s /etc/victim/tracker.db tracker.db",
        "mv tracker.db away && mkfifo tracker.db",
        "cd .. && mv database database.away && ln -s /etc/victim database",
    ] {
        host.shell(&format!("cd {data} && {plant}"));
        let begun = Instant::now();
        let failed = deployer(work, host, &["backup", "production", "--json"]).expect(1);
        assert!(begun.elapsed() < Duration::from_mins(1), "{plant}: {:?}", begun.elapsed());
        assert_eq!(failed.reasons(), ["backup-failed"], "{plant}");
        assert!(failed.stdout.contains("database/tracker.db"), "{plant}: {}", failed.stdout);
        host.shell(&format!(
            "cd {data}/.. && if [ -L database ]; then rm database && mv database.away database; fi && \
             cd database && if [ -e away ]; then mv -fT away tracker.db; fi"
        ));
    }
    backup(work, host, &[]);
}

fn hostile_archives(work: &Work, host: &BedHost, archive: &str) {
    for (file, change, why) in [
        ("list.tar.gz", "echo \"$(printf %064d 0)  /dev/zero\" >>t/SHA256SUMS", "a digest in it does not match"),
        ("link.tar.gz", "ln -s /etc/victim/file t/data/x", "more than files and directories"),
        ("pipe.tar.gz", "mkfifo t/data/x", "more than files and directories"),
        ("large.tar.gz", "truncate -s 8T t/data/x; sparse=-S", "larger than the free space on the host"),
    ] {
        let script = format!(
            "set -e; mkdir t; tar -C t -xzf kept/{archive}; sparse=; {change}; tar -C t $sparse -czf {file} .; rm -r t"
        );
        let made = std::process::Command::new("sh").args(["-c", &script]).current_dir(work.path(".")).status();
        assert!(made.expect("sh starts").success(), "{file}");
        let begun = Instant::now();
        let refused = restore(work, host, file).expect(6);
        assert!(begun.elapsed() < Duration::from_mins(1), "{file}: {:?}", begun.elapsed());
        assert_eq!(refused.reasons(), ["backup-invalid"], "{file}");
        assert!(refused.stdout.contains(why), "{file}: {}", refused.stdout);
    }
    assert!(host.holds(&format!("[ ! -e {STATE}/.restore ] && [ ! -e {STATE}/.incoming ]")));
}
