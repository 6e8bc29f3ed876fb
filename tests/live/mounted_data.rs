//! Services do not start with empty directories in place of data that the live release had.

use crate::bed::{BedHost, Work};

const APP: &str = "/opt/deployer/shop--production";

/// Returns an application whose service keeps data in its own directory and on a disk of the host, and its working
/// directory.
fn converged(host: &BedHost) -> Work {
    host.shell("mkdir -p /srv/disk && mount -t tmpfs -o size=8m disk /srv/disk && mkdir /srv/disk/db");
    let work = Work::demo(host);
    let compose = r#"services:
  web:
    image: demo:1
    command: ["httpd", "-f", "-p", "8080", "-h", "/www"]
    init: true
    ports: ["8080:8080"]
    volumes: ["./html:/www:ro", "./store:/store", "/srv/disk/db:/db"]
"#;
    work.write("app/compose.yaml", compose);
    work.apply().expect(0);
    host.shell(&format!("echo rows > /srv/disk/db/rows && echo kept > {APP}/store/kept"));
    work
}

#[test]
fn a_disk_that_is_not_mounted_is_no_empty_database() {
    let host = BedHost::docker();
    let work = converged(&host);
    host.shell("docker stop shop--production-web-1 && umount /srv/disk && mkdir /srv/disk/db");
    work.edit("app/html/index.html", "page one", "page two");

    let run = work.apply().expect(6);
    assert_eq!(run.reasons(), ["data-missing"]);
    assert!(run.stdout.contains("was on a disk that is not mounted at /srv/disk any more"), "{}", run.stdout);
    assert!(host.shell(&format!("cat {APP}/html/index.html")).contains("page one"), "no file was placed");
    let run = work.run(&["restart", "production", "--json"]).expect(6);
    assert_eq!(run.reasons(), ["data-missing"]);
    assert_eq!(host.shell("docker ps -q"), "", "nothing was started");
    // After a boot, Docker itself starts the services.
    host.shell("docker start shop--production-web-1");
    let run = work.run(&["status", "production", "--json"]);
    assert!(run.stdout.contains("data /srv/disk/db is on a disk that is not mounted at /srv/disk"), "{}", run.stdout);
    assert!(run.stdout.contains(r#""health":"unhealthy""#), "{}", run.stdout);

    host.shell("docker stop shop--production-web-1 && mount -t tmpfs -o size=8m disk /srv/disk && mkdir /srv/disk/db");
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_directory_that_is_gone_is_made_new_only_on_request() {
    let host = BedHost::docker();
    let work = converged(&host);
    host.shell(&format!("docker rm -f shop--production-web-1 && rm -r {APP}"));

    let run = work.apply().expect(6);
    assert_eq!(run.reasons(), ["data-missing"]);
    let option = format!("deployer apply production --new-volume {APP}/store");
    assert!(run.stdout.contains(&option), "{}", run.stdout);
    assert!(!host.holds(&format!("ls {APP}/store")), "no empty directory was made");

    work.run(&["apply", "--json", "--new-volume", &format!("{APP}/store")]).expect(0);
    assert!(host.holds(&format!("ls {APP}/store")));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // A directory of files that the release places is no data.
    host.shell(&format!("rm -r {APP}/html"));
    work.apply().expect(0);
    assert!(host.holds(&format!("ls {APP}/html/index.html")));
}
