//! A service replaces a directory that others mount by a link to a directory of the host, which Docker would follow.

use crate::bed::{BedHost, Work};
use crate::scene::APP;

/// Releases an application of these services on a host, and creates a directory of the host that no container may
/// reach.
fn released(host: &BedHost, compose: &str, more: &str) -> Work {
    host.shell("mkdir -p /srv/victim; echo precious >/srv/victim/file");
    let work = Work::demo(host);
    work.write("app/compose.yaml", compose);
    work.write("app/data/version", "1\n");
    work.edit("deployment.yaml", "archives:", &format!("{more}archives:"));
    work.edit("deployment.yaml", "    checks: [ { name: page, http: { port: 8080, path: / } } ]\n", "");
    work.apply().expect(0);
    work
}

/// Returns a service that sleeps, with additional keys.
fn sleeping(name: &str, more: &str) -> String {
    format!(
        "  {name}: {{ image: \"demo:1\", init: true, stop_grace_period: 0s, command: [sleep, infinity], {more} }}\n"
    )
}

/// Returns Compose files of `web` with these keys and of `other` with a volume; each `next` changes `other` alone.
fn two(web: &str, volume: &str) -> impl Fn(&str) -> String {
    move |next| {
        let other = format!("volumes: [{volume}], environment: {{ NEXT: \"{next}\" }}");
        format!("services:\n{}{}", sleeping("web", web), sleeping("other", &other))
    }
}

/// Runs a shell script in `web`, as an attacker who controls the service.
fn inside(host: &BedHost, script: &str) {
    host.script(&format!("docker exec -i shop--production-web-1 sh -s <<'INSIDE'\n{script}\nINSIDE\n"));
}

/// Asserts that the release is refused with the path's name, that the victim is unchanged, and that a release without
/// the link succeeds.
fn refused(host: &BedHost, work: &Work, path: &str, mend: &str) {
    let refused = work.apply().expect(1);
    assert!(refused.stdout.contains(&format!("{path} is mounted")), "{}", refused.stdout);
    assert!(!refused.stdout.contains("Going back"), "{}", refused.stdout);
    untouched(host);
    work.run(&["plan"]).expect(0);
    host.shell(mend);
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    untouched(host);
    destroyed(host, work);
}

fn destroyed(host: &BedHost, work: &Work) {
    work.run(&["destroy", "production", "--allow-destroy", "production", "--purge", "--yes"]).expect(0);
    untouched(host);
    assert!(host.holds(&format!("[ ! -e {APP} ] && [ -z \"$(docker ps -aq)\" ]")));
}

#[track_caller]
fn untouched(host: &BedHost) {
    assert_eq!(host.shell("cd /srv/victim && ls && cat file"), "file\nprecious\n");
}

#[test]
fn a_service_that_runs_before_the_switch_mounts_no_link() {
    let host = BedHost::docker();
    let migrate = "  migrate: { image: \"demo:1\", volumes: [\"./data/cache:/cache\"], command: [sh, -c, \"rm -rf /cache/*; echo done >/cache/done\"] }\n";
    let compose = format!("services:\n{}{migrate}", sleeping("web", "volumes: [\"./data:/data\"]"));
    let work = released(&host, &compose, "before: [migrate], ");
    inside(&host, "rm -rf /data/cache; ln -s /srv/victim /data/cache");
    work.write("app/compose.yaml", format!("{compose}# next\n"));
    refused(&host, &work, "data/cache", &format!("rm {APP}/data/cache && mkdir {APP}/data/cache"));
}

#[test]
fn a_link_that_an_earlier_release_left_is_not_mounted() {
    let host = BedHost::docker();
    let with = |mount: &str| format!("services:\n{}", sleeping("web", &format!("volumes: [\"{mount}\"]")));
    let work = released(&host, &with("./data:/data"), "");
    inside(&host, "ln -s /srv/victim /data/uploads");
    // Neither the new release nor the running one mounts the directory that contains the link.
    work.write("app/compose.yaml", with("./other:/other"));
    work.apply().expect(0);
    work.write("app/compose.yaml", with("./data/uploads:/uploads"));
    refused(&host, &work, "data/uploads", &format!("rm {APP}/data/uploads"));
}

#[test]
fn volumes_and_secrets_that_lead_to_a_link_are_not_mounted() {
    for (kept, link) in [("data/sub", "/srv/victim"), ("data/token", "/srv/victim/file")] {
        let host = BedHost::docker();
        let compose = |next: &str| {
            format!(
                "services:\n{}{}volumes:\n  sub: {{ driver: local, driver_opts: {{ type: none, o: bind, device: ./data/sub }} }}\nsecrets:\n  token: {{ file: ./data/token }}\n",
                sleeping("web", "volumes: [\"./data:/data\"]"),
                sleeping(
                    "other",
                    &format!("volumes: [\"sub:/sub\"], secrets: [token], environment: {{ NEXT: \"{next}\" }}")
                )
            )
        };
        host.shell("mkdir -p /srv/victim; echo precious >/srv/victim/file");
        let work = Work::demo(&host);
        work.write("app/compose.yaml", compose("1"));
        work.write("app/data/sub/keep", "");
        work.write("app/data/token", "t\n");
        work.edit("deployment.yaml", "archives:", "seed: [\"data/**\"], archives:");
        work.edit("deployment.yaml", "    checks: [ { name: page, http: { port: 8080, path: / } } ]\n", "");
        work.apply().expect(0);
        inside(&host, &format!("rm -rf /{kept}; ln -s {link} /{kept}"));
        work.write("app/compose.yaml", compose("2"));
        let mend = if kept == "data/sub" { "mkdir data/sub" } else { "echo t >data/token" };
        refused(&host, &work, kept, &format!("cd {APP} && rm {kept} && {mend}"));
    }
}

/// Docker's plugin, and the place where a stand-in keeps it.
const COMPOSE: (&str, &str) = ("/usr/libexec/docker/cli-plugins/docker-compose", "/root/docker-compose");

/// Simulates a link that appears between deployer's last check and Docker's: it is created when Compose begins.
fn link_at_the_last_moment(host: &BedHost) {
    let (plugin, kept) = COMPOSE;
    let wrapper = format!(
        "#!/bin/sh\ncase \" $* \" in *' up '*) nsenter -t 1 -m sh -c 'cd {APP}/data && mv sub old && ln -s /srv/victim sub' ;; esac\nexec {kept} \"$@\"\n"
    );
    host.script(&format!("mv {plugin} {kept} && cat >{plugin} <<'EOF' && chmod 755 {plugin}\n{wrapper}EOF\n"));
}

/// Undoes [`link_at_the_last_moment`].
fn undo_the_link(host: &BedHost) {
    let (plugin, kept) = COMPOSE;
    host.script(&format!("mv {kept} {plugin} && rm {APP}/data/sub && mv {APP}/data/old {APP}/data/sub\n"));
}

#[test]
fn a_container_that_got_a_link_of_the_last_moment_is_stopped() {
    let host = BedHost::docker();
    let compose = two("volumes: [\"./data:/data\"], depends_on: [other]", "\"./data/sub:/sub\"");
    let work = released(&host, &compose("1"), "");
    link_at_the_last_moment(&host);
    work.write("app/compose.yaml", compose("2"));
    let stopped = work.apply().expect(1);
    assert!(stopped.stdout.contains(&format!("Stopped other: it mounts {APP}/data/sub")), "{}", stopped.stdout);
    untouched(&host);
    let running = host.shell("docker ps --format '{{.Label \"com.docker.compose.service\"}}'");
    assert_eq!(running, "web\n");
    undo_the_link(&host);
    work.run(&["plan"]).expect(0);
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    destroyed(&host, &work);
}

#[test]
fn a_mount_outside_the_application_is_not_a_link_either() {
    let host = BedHost::docker();
    host.shell("mkdir -p /srv/shared/sub");
    let compose = two("volumes: [\"/srv/shared:/data\"]", "\"/srv/shared/sub:/sub\"");
    let work = released(&host, &compose("1"), "");
    inside(&host, "rm -rf /data/sub; ln -s /srv/victim /data/sub");
    let restart = work.run(&["restart", "production"]).expect(1);
    assert!(restart.stderr.contains("/srv/shared/sub is a link"), "{}", restart.stderr);
    work.write("app/compose.yaml", compose("2"));
    refused(&host, &work, "/srv/shared/sub", "rm /srv/shared/sub && mkdir /srv/shared/sub");
}

#[test]
fn a_directory_above_the_application_that_a_service_writes_to_exposes_it() {
    let host = BedHost::docker();
    let compose = two("volumes: [\"..:/all\"]", "\"./data:/data\"");
    let work = released(&host, &compose("1"), "");
    inside(&host, "cd /all/shop--production && mv data old && ln -s /srv/victim data");
    work.write("app/compose.yaml", compose("2"));
    refused(&host, &work, "shop--production/data", &format!("cd {APP} && rm data && mv old data"));
}

#[test]
fn honest_mounts_of_one_another_work() {
    let host = BedHost::docker();
    // The disk of the media is behind a link that root made, like /var/run.
    host.shell("mkdir -p /mnt/disk/media/torrents && ln -s /mnt/disk/media /srv/media && [ -L /var/run ]");
    let monitor = "volumes: [\"/:/host:ro\", \"/var/run:/var/run:ro\", \"/var/run/docker.sock:/docker.sock\", \"/etc:/etc/host:ro\", \"/etc/os-release:/os:ro\"]";
    let compose = |next: &str| {
        format!(
            "services:\n{}{}{}",
            sleeping("web", "volumes: [\"/srv/media:/data\", \"/run:/host\"]"),
            sleeping(
                "other",
                &format!("volumes: [\"/srv/media/torrents:/torrents\"], environment: {{ NEXT: \"{next}\" }}")
            ),
            sleeping("monitor", monitor)
        )
    };
    let work = released(&host, &compose("1"), "");
    inside(&host, "echo hello >/data/torrents/file");
    work.write("app/compose.yaml", compose("2"));
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(host.shell("docker exec shop--production-other-1 cat /torrents/file"), "hello\n");
    work.run(&["restart", "production"]).expect(0);
    destroyed(&host, &work);
    assert_eq!(host.shell("cat /mnt/disk/media/torrents/file"), "hello\n");
}

#[test]
fn a_mount_that_leaves_the_application_is_checked_where_docker_finds_it() {
    let host = BedHost::docker();
    host.shell("mkdir -p /srv/common/sub");
    let compose = two("volumes: [\"/srv/common:/data\"]", "\"../../../../common/sub:/sub\"");
    let work = released(&host, &compose("1"), "host_directory: /srv/stacks/team/prod/web, ");
    inside(&host, "rm -rf /data/sub; ln -s /srv/victim /data/sub");
    work.write("app/compose.yaml", compose("2"));
    refused(&host, &work, "/srv/common/sub", "rm /srv/common/sub && mkdir /srv/common/sub");
}

#[test]
fn a_service_that_runs_before_the_switch_gets_no_state_of_root() {
    let host = BedHost::docker();
    host.shell("mkdir -p /opt/deployer/shared; echo live >/opt/deployer/shared/db");
    let run = "ls -a /up >>/up/seen; cat /shared/db /conf/version >>/up/read";
    let compose = |next: &str| {
        let web = sleeping("web", &format!("environment: {{ NEXT: \"{next}\" }}"));
        format!(
            "services:\n{web}  migrate: {{ image: \"demo:1\", volumes: [\"..:/up\", \"../shared:/shared\", \"./conf:/conf\"], command: [sh, -c, \"{run}\"] }}\n"
        )
    };
    host.shell("mkdir -p /srv/victim; echo precious >/srv/victim/file");
    let work = Work::demo(&host);
    work.edit("deployment.yaml", "archives:", "before: [migrate], archives:");
    work.edit("deployment.yaml", "    checks: [ { name: page, http: { port: 8080, path: / } } ]\n", "");
    for next in ["1", "2"] {
        work.write("app/compose.yaml", compose(next));
        work.write("app/conf/version", format!("{next}\n"));
        work.apply().expect(0);
    }
    assert_eq!(host.shell("cat /opt/deployer/read"), "live\n1\nlive\n2\n");
    let seen = host.shell("cat /opt/deployer/seen");
    assert_eq!(seen.lines().filter(|name| *name == "shop--production").count(), 2, "{seen}");
    assert!(!seen.contains("releases") && host.holds("[ ! -e /var/lib/deployer/shop--production/seen ]"), "{seen}");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    host.shell("rm -r /opt/deployer/seen /opt/deployer/read /opt/deployer/shared");
    destroyed(&host, &work);
}

#[test]
fn the_state_of_root_is_not_mounted() {
    let host = BedHost::docker();
    host.shell("ln -s /var/lib /srv/lib");
    let with = |mount: &str| format!("services:\n{}", sleeping("web", &format!("volumes: [\"{mount}:/x\"]")));
    let work = released(&host, &with("./data"), "");
    for path in ["/var/lib/deployer", "../../../var/lib/deployer/shop--production/schedules", "/srv/lib/deployer/other"]
    {
        work.write("app/compose.yaml", with(path));
        let refused = work.apply().expect(1);
        assert!(refused.stdout.contains("is mounted, and deployer keeps the state"), "{}", refused.stdout);
    }
    work.write("app/compose.yaml", with("/srv"));
    work.apply().expect(0);
    destroyed(&host, &work);
}

#[test]
fn mounts_taken_from_a_container_started_by_hand_are_no_links() {
    let host = BedHost::docker();
    host.shell("mkdir -p /srv/shared/sub");
    let compose = |next: &str| {
        let other = format!("volumes_from: [\"container:by-hand\"], environment: {{ NEXT: \"{next}\" }}");
        format!("services:\n{}{}", sleeping("web", "volumes: [\"/srv/shared:/data\"]"), sleeping("other", &other))
    };
    let alone = format!("services:\n{}", sleeping("web", "volumes: [\"/srv/shared:/data\"]"));
    let work = released(&host, &alone, "");
    host.shell("docker run -d --name by-hand -v /srv/shared/sub:/d demo:1 sleep infinity");
    work.write("app/compose.yaml", compose("1"));
    work.apply().expect(0);
    inside(&host, "rm -rf /data/sub; ln -s /srv/victim /data/sub");
    work.write("app/compose.yaml", compose("2"));
    let refused = work.apply().expect(1);
    assert!(refused.stdout.contains("/srv/shared/sub is mounted"), "{}", refused.stdout);
    untouched(&host);
    host.shell("rm /srv/shared/sub && mkdir /srv/shared/sub");
    work.apply().expect(0);
    work.run(&["destroy", "production", "--allow-destroy", "production", "--purge", "--yes"]).expect(0);
    host.shell("docker rm -f by-hand");
    untouched(&host);
}

/// Every image names the paths of its volumes, and they may contain any character.
#[test]
fn the_paths_of_an_images_volumes_are_no_lines_about_other_mounts() {
    let host = BedHost::docker();
    let volumes = "volumes:\n  sub: { driver: local, driver_opts: { type: none, o: bind, device: ./data/sub } }\n";
    let compose = |image: &str| {
        let web = sleeping("web", "volumes: [\"./data:/data\"], depends_on: [other]").replace("demo:1", image);
        format!(
            "services:\n{web}{}{volumes}",
            sleeping("other", &format!("volumes: [\"sub:/sub\"], labels: {{ x: \"{image}\" }}"))
        )
    };
    host.shell("mkdir -p /srv/victim; echo precious >/srv/victim/file");
    let work = Work::demo(&host);
    work.write("app/compose.yaml", compose("demo:1"));
    work.write("app/data/sub/keep", "");
    work.edit("deployment.yaml", "archives:", "seed: [\"data/**\"], archives:");
    work.edit("deployment.yaml", "    checks: [ { name: page, http: { port: 8080, path: / } } ]\n", "");
    work.apply().expect(0);
    // The first line is a volume's place for same_mounts, the second one a mount that a container of others does not
    // have.
    let lines =
        format!("shop--production_sub\\t/elsewhere\\n1\\tneighbour\\tweb\\tbind\\t\\t{APP}/data/sub\\t/nowhere");
    host.script(&format!(
        "docker run -d --name neighbour demo:1 sleep 10000\nmkdir /root/evil && cd /root/evil\n\
         printf '%s\\n' 'FROM demo:1' 'VOLUME [\"/x\\n{lines}\"]' >Dockerfile\ndocker build -q -t evil:1 . && docker tag evil:1 evil:2\n"
    ));
    work.write("app/compose.yaml", compose("evil:1"));
    work.apply().expect(0);
    let running = || host.shell("docker ps --format '{{.Names}}' | sort");
    assert_eq!(running(), "neighbour\nshop--production-other-1\nshop--production-web-1\n");

    link_at_the_last_moment(&host);
    work.write("app/compose.yaml", compose("evil:2"));
    let stopped = work.apply().expect(1);
    assert!(stopped.stdout.contains(&format!("Stopped other: it mounts {APP}/data/sub")), "{}", stopped.stdout);
    assert_eq!(running(), "neighbour\nshop--production-web-1\n");
    untouched(&host);
    undo_the_link(&host);
    work.run(&["plan"]).expect(0);
    work.apply().expect(0);
    host.shell("docker rm -f neighbour");
    destroyed(&host, &work);
}
