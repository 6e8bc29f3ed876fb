//! Two manifests that know nothing of each other deploy to one host. Neither takes the other's directory, Compose
//! project, containers or data, and both can still be planned and destroyed.

use crate::bed::{BedHost, Run, Work, bed_value, image};

/// Returns a project of one service, which sleeps and mounts `volume`.
fn project(host: &BedHost, name: &str, volume: &str, place: &str) -> Work {
    let work = Work::empty();
    work.link("demo.tar", &image("demo-1.tar"));
    work.write(
        "app/compose.yaml",
        format!(
            "services:\n  {name}: {{ image: \"demo:1\", init: true, stop_grace_period: 0s, command: [sleep, infinity], volumes: [\"{volume}:/data\"] }}\n{}",
            if volume.starts_with('.') { "" } else { "volumes: { data: {} }\n" }
        ),
    );
    work.write(
        "deployment.yaml",
        format!(
            "version: 1\nproject: {name}\nenvironments:\n  web:\n    registered: {{ address: {} }}\n    ssh: {{ user: deploy, identity_file: {}, \
             host_key: [\"{}\"], wait: 0s }}\n    application: {{ compose: {{ directory: ./app, {place}, archives: {{ \"demo:1\": ./demo.tar }} }} }}\n    \
             health: {{ timeout: 20s, stable_for: 1s }}\n",
            host.ipv4,
            bed_value("BED_KEY").display(),
            host.host_key(),
        ),
    );
    work
}

fn destroy(work: &Work, purge: bool) -> Run {
    let purge = if purge { &["--purge"][..] } else { &[] };
    work.run(&[&["destroy", "web", "--allow-destroy", "web", "--json"], purge].concat())
}

/// Returns the containers of the host, and the output of `look`.
fn seen(host: &BedHost, look: &str) -> String {
    host.shell(&format!(
        "docker ps -aq --no-trunc | xargs -r docker inspect -f '{{{{.Id}}}} {{{{.State.StartedAt}}}}'; {look}"
    ))
}

/// Asserts that a plan and an apply are refused with a message that contains `words`, and that the host is unchanged.
#[track_caller]
fn refused(host: &BedHost, work: &Work, look: &str, words: &[&str]) {
    let before = seen(host, look);
    for command in ["plan", "apply"] {
        let run = work.run(&[command, "web", "--json"]).expect(6);
        assert_eq!(run.reasons(), ["marker-mismatch"], "{}", run.stdout);
        for word in words {
            assert!(run.stdout.contains(word), "{word}: {}", run.stdout);
        }
    }
    assert_eq!(seen(host, look), before);
}

#[test]
fn another_manifest_cannot_have_the_same_compose_project() {
    let host = BedHost::docker();
    let [one, two] = ["one", "two"].map(|name| project(&host, name, "data", "project: stack"));
    one.apply().expect(0);
    host.shell("docker exec stack-one-1 sh -c 'echo precious >/data/file'");
    let look = "docker exec stack-one-1 cat /data/file; docker volume ls -q; ls -A /opt/deployer";
    let before = seen(&host, look);
    refused(&host, &two, look, &["Compose project stack", "one/web", "two/web"]);
    for purge in [false, true] {
        assert_eq!(destroy(&two, purge).expect(0).outcome(), "converged");
    }
    assert_eq!(seen(&host, look), before);
    assert_eq!(one.apply().expect(0).outcome(), "converged");

    destroy(&one, true).expect(0);
    assert_eq!(host.shell("docker ps -aq; docker volume ls -q"), "");
    two.apply().expect(0);
    refused(&host, &one, "docker ps -q", &["two/web"]);
    destroy(&two, true).expect(0);
}

/// On hosts of older versions, the records of releases name the owners, even if two environments own the same thing.
#[test]
fn hosts_of_former_versions_tell_whose_a_project_is() {
    let host = BedHost::docker();
    let [one, two] = ["one", "two"].map(|name| project(&host, name, "data", "project: stack"));
    let forget = "rm -rf /var/lib/deployer/*/claims /var/lib/deployer/directories";
    one.apply().expect(0);
    host.shell(forget);
    assert_eq!(one.apply().expect(0).outcome(), "converged");
    refused(&host, &two, "docker volume ls -q", &["one/web"]);

    // An older version let both have the project, and the second one removed the containers of the first.
    two.edit("deployment.yaml", "project: stack", "project: other");
    two.apply().expect(0);
    host.shell(forget);
    host.script(
        "cd /var/lib/deployer/two--web && sed -i 's/\"project\":\"other\"/\"project\":\"stack\"/' current.json releases/*/release.json\n\
         docker rm -f other-two-1 && cd /opt/deployer/two--web && docker compose -p stack up -d\n",
    );
    two.edit("deployment.yaml", "project: other", "project: stack");
    host.shell("docker exec stack-one-1 sh -c 'echo precious >/data/file'");
    let look = "docker exec stack-one-1 cat /data/file; docker volume ls -q";
    refused(&host, &two, look, &["one/web", "two/web"]);
    refused(&host, &one, look, &["one/web", "two/web"]);
    let purge = destroy(&two, true).expect(6);
    assert!(purge.stdout.contains("deployer destroy web"), "{}", purge.stdout);
    destroy(&two, false).expect(0);
    assert_eq!(destroy(&two, false).expect(0).outcome(), "converged");
    assert_eq!(
        host.shell("docker ps --format '{{.Names}}'; docker exec stack-one-1 cat /data/file"),
        "stack-one-1\nprecious\n"
    );
    assert_eq!(one.run(&["plan", "--json"]).expect(0).outcome(), "converged");
    destroy(&one, true).expect(0);
    assert_eq!(host.shell("docker ps -aq"), "");
}

#[test]
fn containers_that_somebody_started_by_hand_stay() {
    let host = BedHost::docker();
    let two = project(&host, "two", "data", "project: stack");
    two.run(&["apply", "--to", "released", "--json"]).expect(0);
    host.script(
        "mkdir -p /srv/hand && cd /srv/hand && cat >compose.yaml <<'EOS'\n\
         services: { db: { image: \"demo:1\", init: true, command: [sleep, infinity], volumes: [\"data:/data\"] } }\nvolumes: { data: {} }\n\
         EOS\ndocker compose -p stack up -d && docker exec stack-db-1 sh -c 'echo precious >/data/file'\n",
    );
    let look = "docker exec stack-db-1 cat /data/file; docker volume ls -q";
    let before = seen(&host, look);
    refused(&host, &two, look, &["db (from /srv/hand)", "two/web", "--take-over"]);
    destroy(&two, false).expect(0);
    assert_eq!(seen(&host, look), before);
    assert_eq!(two.run(&["apply", "web", "--take-over", "--json"]).expect(0).outcome(), "changed");
    assert_eq!(host.shell("docker ps -a --format '{{.Names}}'"), "stack-two-1\n");
    assert_eq!(two.apply().expect(0).outcome(), "converged");
    destroy(&two, true).expect(0);
}

const LOOK: &str = "find /srv -type f | sort; docker exec one--web-one-1 cat /data/file";

/// The manifest names the project of others by mistake. The environment still owns its previous project.
#[test]
fn a_destruction_removes_its_own_project_and_no_other() {
    let host = BedHost::docker();
    let one = project(&host, "one", "data", "project: stack");
    one.apply().expect(0);
    host.script(
        "mkdir -p /srv/theirs; cd /srv/theirs\n\
         echo 'services: { db: { image: \"demo:1\", init: true, stop_grace_period: 0s, command: [sleep, infinity], volumes: [\"data:/data\"] } }' >compose.yaml\n\
         echo 'volumes: { data: {} }' >>compose.yaml; docker compose -p theirs up -d\n",
    );
    one.edit("deployment.yaml", "project: stack", "project: theirs");
    let look = "docker ps --format '{{.Names}}' | sort; docker volume ls -q | sort";
    refused(&host, &one, look, &["Compose project theirs", "one/web"]);
    destroy(&one, false).expect(0);
    assert_eq!(host.shell(look), "theirs-db-1\nstack_data\ntheirs_data\n");
}

/// The previous project's services stop and free their ports. Its volumes stay until a purge, and so does the claim on
/// the project.
#[test]
fn a_change_of_the_project_leaves_nothing_running_of_the_former_one() {
    let host = BedHost::docker();
    let one = project(&host, "one", "data", "project: alpha");
    one.edit("app/compose.yaml", "init: true", "init: true, ports: [\"8080:80\"]");
    one.apply().expect(0);
    host.shell("docker exec alpha-one-1 sh -c 'echo precious >/data/file'");
    let names = "docker ps -a --format '{{.Names}}' | sort";
    let claims = "grep project /var/lib/deployer/one--web/claims";

    // A release under the new name that does not become healthy is replaced by the previous one.
    one.edit("deployment.yaml", "project: alpha", "project: beta");
    one.edit("app/compose.yaml", "command: [sleep, infinity]", "command: [sh, -c, \"exit 3\"]");
    let plan = one.run(&["plan", "web", "--json"]).expect(0);
    for word in ["alpha/one", "volumes of alpha", "alpha_data", "beta begins with new ones"] {
        assert!(plan.stdout.contains(word), "{word}: {}", plan.stdout);
    }
    assert_eq!(one.apply().expect(1).reasons(), ["rolled-back"]);
    assert_eq!(host.shell(names), "alpha-one-1\n");
    assert_eq!(host.shell("docker exec alpha-one-1 cat /data/file"), "precious\n");

    // Another person's container in the previous project is not touched.
    host.shell("docker run -d --init --name hand --label com.docker.compose.project=alpha demo:1 sleep infinity");
    let hand = host.shell("docker inspect -f '{{.State.StartedAt}}' hand");
    one.edit("app/compose.yaml", "command: [sh, -c, \"exit 3\"]", "command: [sleep, infinity]");
    assert_eq!(one.apply().expect(0).outcome(), "changed");
    assert_eq!(host.shell(names), "beta-one-1\nhand\n");
    assert_eq!(host.shell("docker inspect -f '{{.State.StartedAt}}' hand"), hand);
    assert_eq!(host.shell(claims), "project alpha\nproject beta\n");
    assert_eq!(one.run(&["plan", "web", "--json"]).expect(0).outcome(), "converged");
    let two = project(&host, "two", "data", "project: alpha");
    refused(&host, &two, "docker volume ls -q", &["Compose project alpha", "one/web", "two/web"]);

    // A container that was left behind, for example by a killed run, is removed by the next apply.
    host.shell("docker rm -f hand; cd /opt/deployer/one--web && docker compose -p alpha up -d --no-deps --scale one=1 2>&1 | tail -n 1 || :");
    assert_eq!(one.apply().expect(0).outcome(), "changed");
    assert_eq!(host.shell(names), "beta-one-1\n");
    assert_eq!(host.shell("docker volume ls -q | sort"), "alpha_data\nbeta_data\n");
    destroy(&one, true).expect(0);
    assert_eq!(
        host.shell(
            "docker ps -aq; docker volume ls -q; docker network ls -q --filter label=com.docker.compose.project"
        ),
        ""
    );
    two.apply().expect(0);
    destroy(&two, true).expect(0);
}

/// Objects that an environment left in its project belong to nobody else, and the environment gets them back.
#[test]
fn volumes_without_containers_are_not_taken_over_silently() {
    let host = BedHost::docker();
    let [one, two] = ["one", "two"].map(|name| project(&host, name, "data", "project: stack"));
    one.apply().expect(0);
    host.shell("docker exec stack-one-1 sh -c 'echo precious >/data/file'");
    destroy(&one, false).expect(0);
    assert_eq!(host.shell("docker ps -aq"), "");
    refused(&host, &two, "docker volume ls -q", &["Compose project stack", "one/web", "two/web"]);
    one.run(&["apply", "web", "--json"]).expect(0);
    assert_eq!(host.shell("docker exec stack-one-1 cat /data/file"), "precious\n");
    destroy(&one, true).expect(0);

    // Objects that somebody made by hand are not taken either. Objects with the environment's own name belong to it.
    let label = "--label com.docker.compose.project";
    host.shell(&format!("docker volume create {label}=stack by-hand; docker network create {label}=stack net-by-hand"));
    refused(&host, &two, "docker volume ls -q", &["volume by-hand", "network net-by-hand", "--take-over"]);
    destroy(&two, false).expect(0);
    assert!(host.holds("docker volume inspect by-hand && docker network inspect net-by-hand"));
    assert_eq!(two.run(&["apply", "web", "--take-over", "--json"]).expect(0).outcome(), "changed");
    assert_eq!(two.apply().expect(0).outcome(), "converged");
    // What somebody made by hand outlasts the environment.
    destroy(&two, true).expect(0);
    assert_eq!(host.shell("docker volume ls -q"), "by-hand\n");
    let three = project(&host, "three", "data", "project: three--web");
    host.shell(&format!("docker volume create {label}=three--web three--web_data"));
    three.apply().expect(0);
    destroy(&three, true).expect(0);
}

/// The schedules of a previous owner do not run on another environment's data.
#[test]
fn a_take_over_ends_the_schedules_of_the_former_owner() {
    let host = BedHost::docker();
    let [one, two] =
        ["one", "two"].map(|name| project(&host, name, "data", "project: stack, host_directory: /srv/stack"));
    let text = one.read("deployment.yaml");
    one.write(
        "deployment.yaml",
        text + "    configure: { schedules: [ { name: nightly, at: \"03:00\", run: \"echo one > one.txt; sleep 600\" } ] }\n",
    );
    one.apply().expect(0);
    host.shell("systemctl start --no-block deployer-one--web--nightly.service; sleep 1; rm /srv/stack/one.txt");
    let active = "systemctl is-active deployer-one--web--nightly.timer deployer-one--web--nightly.service | sort -u";
    assert_eq!(host.shell(&format!("{active} || :")), "activating\nactive\n");
    two.run(&["apply", "web", "--take-over", "--json"]).expect(0);
    assert_eq!(host.shell(&format!("{active} || :")), "failed\ninactive\n");
    assert!(host.holds("! systemctl is-enabled deployer-one--web--nightly.timer"));
    assert!(host.holds("[ ! -e /srv/stack/one.txt ]"));
    // With its own directory and project, the previous owner gets its schedules back.
    one.edit("deployment.yaml", "project: stack, host_directory: /srv/stack", "project: own");
    one.apply().expect(0);
    assert!(host.holds("systemctl is-active deployer-one--web--nightly.timer"));
    destroy(&one, true).expect(0);
    destroy(&two, true).expect(0);
}

#[test]
fn directories_cannot_nest_or_be_the_same_by_another_path() {
    let host = BedHost::docker();
    let one = project(&host, "one", "./data", "host_directory: /srv/top/app");
    one.apply().expect(0);
    host.shell("docker exec one--web-one-1 sh -c 'echo precious >/data/file'; ln -s /srv/top/app /srv/link; mkdir /srv/bound /srv/part");
    host.shell("mount --bind /srv/top/app /srv/bound; mount --bind /srv/top/app/data /srv/part");
    for (place, word) in [
        ("/srv/top/app", "/srv/top/app on the host belongs to one/web"),
        ("/srv/top/app/two", "/srv/top/app/two on the host is inside /srv/top/app"),
        ("/srv/top", "/srv/top on the host contains /srv/top/app"),
        ("/srv/link", "/srv/link on the host is /srv/top/app"),
        ("/srv/link/two", "/srv/link/two on the host is inside /srv/top/app"),
        ("/srv/bound", "/srv/bound on the host is /srv/top/app"),
        ("/srv/bound/a/b", "/srv/bound/a/b on the host is inside /srv/top/app"),
        ("/srv/part", "/srv/part on the host is inside /srv/top/app"),
    ] {
        let two = project(&host, "two", "./data", &format!("host_directory: {place}"));
        refused(&host, &two, LOOK, &[word, "one/web", "two/web"]);
        assert_eq!(destroy(&two, true).expect(0).outcome(), "converged");
    }
    let two = project(&host, "two", "./data", "host_directory: /srv/top/apple");
    two.apply().expect(0);
    assert_eq!(one.apply().expect(0).outcome(), "converged");
    destroy(&two, true).expect(0);
    host.shell("umount /srv/bound /srv/part");
    destroy(&one, true).expect(0);
    assert!(host.holds("[ ! -e /srv/top/app ]"));
}

/// An older version permitted nested directories.
#[test]
fn a_purge_leaves_the_directory_of_another_environment() {
    let host = BedHost::docker();
    let one = project(&host, "one", "./data", "host_directory: /srv/app");
    let two = project(&host, "two", "./data", "host_directory: /srv/two");
    one.apply().expect(0);
    two.apply().expect(0);
    host.script(
        "rm -rf /var/lib/deployer/*/claims /var/lib/deployer/directories; docker rm -f two--web-two-1; mv /srv/two /srv/app/two\n\
         cd /var/lib/deployer/two--web && sed -i 's,/srv/two,/srv/app/two,' current.json releases/*/release.json\n\
         cd /srv/app/two && docker compose -p two--web up -d && docker exec two--web-two-1 sh -c 'echo precious >/data/file'\n",
    );
    two.edit("deployment.yaml", "/srv/two", "/srv/app/two");
    let look = "find /srv/app -type f | sort; docker exec two--web-two-1 cat /data/file";
    refused(&host, &one, look, &["/srv/app on the host contains /srv/app/two", "one/web", "two/web"]);
    let before = seen(&host, look);
    destroy(&one, true).expect(6);
    assert_eq!(seen(&host, look), before);
    destroy(&one, false).expect(0);
    assert_eq!(
        host.shell("docker exec two--web-two-1 cat /data/file; ls /srv/app/two"),
        "precious\ncompose.yaml\ndata\n"
    );
    two.run(&["plan"]).expect(0);
    destroy(&two, true).expect(0);
    assert!(host.holds("[ ! -e /srv/app/two ]"));
}

#[test]
fn of_two_that_begin_at_once_one_wins() {
    let host = BedHost::docker();
    let [one, two] = ["one", "two"].map(|name| project(&host, name, "data", "project: stack"));
    let (first, second) = std::thread::scope(|scope| {
        let runs = [scope.spawn(|| one.apply()), scope.spawn(|| two.apply())];
        let [first, second] = runs.map(|run| run.join().expect("it ends"));
        (first, second)
    });
    let mut codes = [first.code, second.code];
    codes.sort_unstable();
    assert_eq!(codes, [0, 6], "{first:?} {second:?}");
    let (winner, loser, name) = if first.code == 0 { (&one, &two, "one") } else { (&two, &one, "two") };
    assert_eq!(host.shell("docker ps -a --format '{{.Names}}'"), format!("stack-{name}-1\n"));
    destroy(loser, true);
    assert_eq!(winner.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_claim_follows_the_manifest() {
    let host = BedHost::docker();
    let one = project(&host, "one", "./data", "host_directory: /srv/first");
    one.apply().expect(0);
    one.edit("deployment.yaml", "/srv/first", "/srv/second");
    one.run(&["apply", "--to", "released", "--json"]).expect(0);
    let two = project(&host, "two", "./data", "host_directory: /srv/first");
    refused(&host, &two, "find /srv | sort", &["/srv/first on the host belongs to one/web"]);
    one.apply().expect(0);
    two.apply().expect(0);
    // A renamed environment keeps its directories.
    one.edit("deployment.yaml", "  web:\n", "  site:\n    renamed_from: web\n");
    one.apply().expect(0);
    two.edit("deployment.yaml", "/srv/first", "/srv/second");
    refused(&host, &two, "find /srv | sort", &["/srv/second on the host belongs to one/site"]);
    one.run(&["destroy", "site", "--allow-destroy", "site", "--json"]).expect(0);
    two.apply().expect(0);
}

/// Mounts can also nest across environments, and on hosts whose records do not list them.
#[test]
fn a_mount_below_a_path_that_another_environment_writes_to_is_not_a_link() {
    let host = BedHost::docker();
    let one = project(&host, "one", "/srv/shared", "project: one");
    let two = project(&host, "two", "/srv/shared/sub", "project: two");
    host.shell("mkdir -p /srv/shared/sub /srv/victim; echo precious >/srv/victim/file");
    one.apply().expect(0);
    two.apply().expect(0);
    host.shell("docker exec two-two-1 sh -c 'echo hello >/data/file'; docker exec one-one-1 sh -c 'cd /data && mv sub old && ln -s /srv/victim sub'");
    let refused = |run: Run| {
        let run = run.expect(1);
        assert!((run.stdout.clone() + &run.stderr).contains("/srv/shared/sub is a link"), "{run:?}");
        assert_eq!(host.shell("ls /srv/victim; cat /srv/victim/file"), "file\nprecious\n");
    };
    refused(two.run(&["restart", "web"]));
    // Directories that the other environment could write to in the past count, too.
    destroy(&one, false).expect(0);
    refused(two.run(&["restart", "web"]));
    one.run(&["apply", "web", "--json"]).expect(0);
    host.shell("cd /var/lib/deployer && sed -i 's/\"outside\":{[^}]*},//' */current.json && rm */mounted && ! grep outside */current.json");
    refused(two.run(&["restart", "web"]));
    two.edit("app/compose.yaml", "init: true", "init: true, environment: { NEXT: \"2\" }");
    refused(two.run(&["apply", "web", "--json"]));
    refused(two.run(&["apply", "web", "--json"]));
    host.shell("cd /srv/shared && rm sub && mv old sub");
    two.apply().expect(0);
    assert_eq!(two.apply().expect(0).outcome(), "converged");
    assert_eq!(host.shell("docker exec two-two-1 cat /data/file"), "hello\n");
    destroy(&two, true).expect(0);
    assert_eq!(host.shell("cat /srv/shared/sub/file"), "hello\n");
}

/// A service that can write to the directory above puts a link there: after the claim, or before it.
#[test]
fn a_link_in_the_place_of_anothers_directory_leads_nowhere() {
    let host = BedHost::docker();
    let one = project(&host, "one", "/srv", "project: one");
    let two = project(&host, "two", "data", "host_directory: /srv/two");
    let look = "find /srv/victim /srv/two -printf '%p %l\n' | sort; cat /srv/victim/compose.yaml";
    host.shell("mkdir -p /srv/victim; echo precious >/srv/victim/compose.yaml");
    one.apply().expect(0);
    host.shell("docker exec one-one-1 ln -s victim /data/two");
    refused(&host, &two, look, &["Cannot enter /srv/two on the host"]);
    host.shell("rm /srv/two");
    two.apply().expect(0);
    host.shell("docker exec one-one-1 sh -c 'mv /data/two /data/old && ln -s victim /data/two'");
    refused(&host, &two, look, &["Cannot enter /srv/two on the host"]);
    assert_ne!(destroy(&two, true).code, 0);
    assert_eq!(host.shell("cat /srv/victim/compose.yaml"), "precious\n");
    host.shell("rm /srv/two && mv /srv/old /srv/two");
    destroy(&two, true).expect(0);
    assert_eq!(host.shell("ls /srv"), "victim\n");
}

/// A service that can write above its own environment's directory puts a link there, to a neighbour's directory.
#[test]
fn a_link_in_the_place_of_ones_own_directory_is_nothing_to_a_neighbour() {
    let host = BedHost::docker();
    let one = project(&host, "one", "..", "project: one, host_directory: /srv/one");
    let two = project(&host, "two", "./data", "project: two, host_directory: /srv/two");
    for work in [&one, &two] {
        work.apply().expect(0);
    }
    host.shell("docker exec two-two-1 sh -c 'echo precious >/data/file'");
    host.shell("docker exec one-one-1 sh -c 'mv /data/one /data/old && ln -s two /data/one'");
    assert_eq!(two.apply().expect(0).outcome(), "converged");
    let look = "cat /srv/two/data/file /var/lib/deployer/*/claims; docker ps --format '{{.Names}}' | sort";
    let before = seen(&host, look);
    let run = one.run(&["apply", "web", "--take-over", "--json"]).expect(6);
    assert_eq!(run.reasons(), ["marker-mismatch"], "{}", run.stdout);
    assert_eq!(seen(&host, look), before, "nothing was taken");
    two.edit("app/compose.yaml", "init: true", "init: true, environment: { NEXT: \"2\" }");
    two.apply().expect(0);
    // Its own environment can be removed, and its files stay where the service put them.
    let removed = destroy(&one, false).expect(0);
    assert!(removed.stdout.contains("The files in /srv/one stay"), "{}", removed.stdout);
    assert_eq!(host.shell("cat /srv/two/data/file; ls /srv/old"), "precious\ncompose.yaml\n");
    destroy(&two, true).expect(0);
    assert_eq!(host.shell("ls /srv"), "old\none\n");
}

/// Root runs schedules at times at which nobody looks.
#[test]
fn a_schedule_follows_no_link_of_a_neighbours_service() {
    let host = BedHost::docker();
    let one = project(&host, "one", "/srv", "project: one");
    let two = project(&host, "two", "data", "host_directory: /srv/two");
    let schedule = "configure: { schedules: [{ name: tidy, at: \"Sun 04:00\", run: \"rm -f cache\" }] }\n    health:";
    two.edit("deployment.yaml", "health:", schedule);
    for work in [&one, &two] {
        work.apply().expect(0);
    }
    host.shell("mkdir /srv/victim && touch /srv/victim/cache /srv/two/cache");
    let start = "systemctl start deployer-two--web--tidy.service";
    host.shell(&format!("{start} && ! [ -e /srv/two/cache ]"));
    host.shell("docker exec one-one-1 sh -c 'mv /data/two /data/old && ln -s victim /data/two'");
    host.shell(&format!("! {start} && [ -e /srv/victim/cache ]"));
}

#[test]
fn a_network_that_a_neighbour_joined_stays_and_the_removal_ends() {
    let host = BedHost::docker();
    let one = project(&host, "one", "data", "project: one");
    let two = project(&host, "two", "data", "project: two");
    two.edit(
        "app/compose.yaml",
        "volumes: { data",
        "networks: { default: { name: one_default, external: true } }\nvolumes: { data",
    );
    for work in [&one, &two] {
        work.apply().expect(0);
    }
    let before = host.shell("docker inspect -f '{{.Id}} {{.State.StartedAt}}' two-two-1");
    one.edit("deployment.yaml", "project: one,", "project: uno,");
    assert!(one.apply().expect(0).stdout.contains("The network one_default stays"));
    let removed = destroy(&one, true).expect(0);
    assert_eq!(host.shell("docker inspect -f '{{.Id}} {{.State.StartedAt}}' two-two-1"), before);
    assert_eq!(host.shell("docker network ls -q --filter name=one_default | wc -l"), "1\n", "{}", removed.stdout);
    assert_eq!(two.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_rollback_gives_no_neighbour_another_image() {
    let host = BedHost::docker();
    let both = ["one", "two"].map(|name| project(&host, name, "data", &format!("project: {name}")));
    both[0].apply().expect(0);
    host.shell("docker tag demo:1 base:1");
    for work in &both {
        work.edit("app/compose.yaml", "demo:1", "base:1");
        work.apply().expect(0);
    }
    let image = |of: &str| host.shell(&format!("docker container inspect -f '{{{{.Image}}}}' {of}"));
    let old = image("one-one-1");
    // As a pull of a newer image does.
    host.shell("docker commit \"$(docker create demo:1)\" base:1 && docker container prune -f");
    for work in &both {
        work.edit("app/compose.yaml", "init: true", "init: true, environment: { NEXT: \"2\" }");
        work.apply().expect(0);
    }
    let (new, [one, two]) = (image("two-two-1"), &both);
    assert_ne!(new, old);
    one.run(&["rollback", "web", "--yes", "--json"]).expect(0);
    assert_eq!((image("one-one-1"), image("two-two-1")), (old, new.clone()));
    assert_eq!(one.apply().expect(0).outcome(), "converged");
    two.edit("app/compose.yaml", "NEXT: \"2\"", "NEXT: \"3\"");
    two.apply().expect(0);
    assert_eq!(image("two-two-1"), new);
}

/// Docker keeps a volume as it was made first, whatever the Compose file says later.
#[test]
fn a_volume_whose_options_changed_is_refused() {
    let host = BedHost::docker();
    let one = project(&host, "one", "data", "project: one");
    host.shell("mkdir -p /srv/first /srv/second");
    let volume = "data: { driver_opts: { type: none, o: bind, device: /srv/first } }";
    one.edit("app/compose.yaml", "data: {}", volume);
    one.apply().expect(0);
    one.edit("app/compose.yaml", "/srv/first", "/srv/second");
    let run = one.run(&["apply", "web", "--json"]);
    assert!(run.code != 0 && (run.stdout + &run.stderr).contains("volume one_data was created with other options"));
    one.edit("app/compose.yaml", "/srv/second", "/srv/first");
    one.apply().expect(0);
}
