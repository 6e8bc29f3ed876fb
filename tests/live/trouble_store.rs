//! The local store cannot be used: this is reported before anything on the host changes, and the host is not lost.
//! Without its store, the next apply adopts the state of the host.

use crate::trouble::{fails_untouched, finishes, running, write_page};
use std::fs;

#[test]
fn a_store_that_cannot_be_used_stops_everything_before_the_host() {
    let (host, work) = running();
    let store = work.path(".deployer/state.db");
    let good = fs::read(&store).expect("readable");
    write_page(&work, "page two");

    fs::write(&store, "not a database, and long enough to look like one: ".repeat(100)).expect("written");
    fails_untouched(&host, &work, "store-unusable", 1, "it is not a database");
    let mut damaged = good.clone();
    damaged[100..4096].fill(0xff);
    fs::write(&store, damaged).expect("written");
    fails_untouched(&host, &work, "store-unusable", 1, "state.db");
    fs::remove_file(&store).expect("removed");
    fs::create_dir(&store).expect("made");
    fails_untouched(&host, &work, "store-unusable", 1, "it is a directory");
    fs::remove_dir(&store).expect("removed");
    fs::write(&store, &good).expect("written");
    finishes(&host, &work, "page two");
}

/// Mounts a directory on itself, read-only; unmounts it when dropped.
struct ReadOnly(std::path::PathBuf);

impl ReadOnly {
    fn mount(&self, arguments: &[&str]) {
        let status = std::process::Command::new("mount").args(arguments).arg(&self.0).status();
        assert!(status.expect("mount starts").success());
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_store_is_refused_by_apply_and_read_by_those_who_look() {
    let (host, work) = running();
    write_page(&work, "page two");
    let directory = ReadOnly(work.path(".deployer"));
    directory.mount(&["--bind", directory.0.to_str().expect("text")]);
    directory.mount(&["-o", "remount,bind,ro"]);
    fails_untouched(&host, &work, "read-only", 1, "state.db");
    assert_eq!(work.run(&["list", "--json"]).expect(0).of("environment")[0]["stage"], "running");
    drop(directory);
    finishes(&host, &work, "page two");
}

#[test]
fn a_lost_store_changes_nothing() {
    let (host, work) = running();
    fs::remove_dir_all(work.path(".deployer")).expect("removed");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(work.run(&["list", "--json"]).expect(0).of("environment")[0]["stage"], "running");
    // A store that cannot be created.
    fs::remove_dir_all(work.path(".deployer")).expect("removed");
    work.write(".deployer", "in its place\n");
    write_page(&work, "page two");
    fails_untouched(&host, &work, "store-unusable", 1, ".deployer");
    fs::remove_file(work.path(".deployer")).expect("removed");
    finishes(&host, &work, "page two");
}
