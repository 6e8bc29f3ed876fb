//! A service that may write to the whole directory of its application attacks root with links, pipes, devices, endless
//! files, a Compose file and a forged marker. The victims are files of the host that the test creates.

use crate::bed::{BedHost, Work};
use crate::scene::{APP, STATE, change, containers};
use std::time::{Duration, Instant};

const COMPOSE: &str = r#"services:
  web:
    image: demo:1
    stop_grace_period: 0s
    init: true
    command: [sleep, infinity]
    volumes: [".:/app", "./data/in:/data"]
  prepare:
    image: demo:1
    volumes: ["./conf:/conf"]
    command: [sh, -c, "echo prepared >>/conf/written"]
"#;

/// A Compose file that mounts the host's /etc into the service.
const GREEDY: &str =
    r#"services: { web: { image: "demo:1", init: true, command: [sleep, infinity], volumes: ["/etc:/host"] } }"#;

/// Releases the application, and creates a directory of the host that no run may touch.
fn released(host: &BedHost) -> Work {
    host.shell(
        "mkdir -m 755 /etc/victim; cd /etc/victim; for f in file motd own; do echo precious >$f; chmod 600 $f; done",
    );
    let work = Work::demo(host);
    work.write("app/compose.yaml", COMPOSE);
    work.write("app/conf/app.conf", "a=1\n");
    work.write("app/conf/sub/motd", "hello\n");
    work.edit("deployment.yaml", "archives:", "before: [prepare], archives:");
    work.edit("deployment.yaml", "    checks: [ { name: page, http: { port: 8080, path: / } } ]\n", "");
    work.apply().expect(0);
    work
}

/// Runs a shell script in the service, as an attacker who controls the service.
fn inside(host: &BedHost, script: &str) {
    host.script(&format!("docker exec -i shop--production-web-1 sh -s <<'INSIDE'\ncd /app\n{script}\nINSIDE\n"));
}

fn victims(host: &BedHost) -> String {
    host.shell("cd /etc/victim && stat -c '%n %a %u:%g %F' . * && cat *")
}

#[test]
fn root_follows_nothing_that_a_service_left_in_its_directory_and_the_environment_stays_manageable() {
    let host = BedHost::docker();
    let work = released(&host);
    let before = victims(&host);
    let forms = [
        ("link", "ln -s /etc/victim/own", "a symbolic link"),
        ("loop", "ln -s loop", "a symbolic link"),
        ("pipe", "mkfifo", "a named pipe"),
        ("device", "mknod -m 666", "a device"),
        ("full", "mkdir -p", "a directory"),
        ("endless", "truncate -s 1099511627776", "a file of another size"),
        ("below-a-link/motd", "ln -s /etc/victim", "below a symbolic link"),
        ("below-a-pipe/motd", "mkfifo", "below something other than a directory"),
    ];
    for (file, _, _) in forms {
        work.write(&format!("app/conf/{file}"), "a=1\n");
    }
    work.apply().expect(0);
    for (file, command, _) in forms {
        let (name, _) = file.split_once('/').unwrap_or((file, ""));
        let more = match name {
            "device" => " c 1 5",
            "full" => "/x",
            _ => "",
        };
        inside(&host, &format!("rm -rf conf/{name}; {command} conf/{name}{more}"));
    }
    // The same forms, and one for all: the directory is a link.
    for everything in [false, true] {
        if everything {
            inside(&host, "rm -rf conf; ln -s /etc/victim conf");
        }
        // Old and new names for files that are not in place yet.
        inside(
            &host,
            "for n in link.deployer-new .deployer-new.x; do ln -sf /etc/victim/file conf/$n 2>/dev/null; done; :",
        );
        let begun = Instant::now();
        let plan = work.run(&["plan", "--json"]).expect(0);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert!(!plan.stdout.contains("precious"), "{}", plan.stdout);
        for (file, _, seen) in forms {
            let wanted = if everything { "below a symbolic link" } else { seen };
            assert_eq!(change(&plan, &format!("conf/{file}"))["from"], wanted, "{file}");
            work.write(&format!("app/conf/{file}"), format!("a={everything}\n"));
        }
        work.apply().expect(0);
        assert_eq!(victims(&host), before);
        for (file, _, _) in forms {
            assert_eq!(host.shell(&format!("cat {APP}/conf/{file}")), format!("a={everything}\n"), "{file}");
        }
    }
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // The services that run before each switch wrote to a copy, not to the release that root keeps.
    assert_eq!(host.shell(&format!("find {STATE}/releases {STATE}/before.run -name written 2>/dev/null; true")), "");

    // Docker would follow a link in place of a mounted directory.
    inside(&host, "rm -rf data; ln -s /etc data");
    work.write("app/conf/app.conf", "a=mounted\n");
    let refused = work.apply().expect(1);
    assert!(refused.stdout.contains("data/in is mounted"), "{}", refused.stdout);
    inside(&host, "rm data; mkdir -p data/in");
    work.apply().expect(0);

    // Directories that a release no longer has, and a destruction, while links are in place.
    inside(&host, "rm -rf conf/sub; ln -s /etc/victim conf/sub");
    std::fs::remove_dir_all(work.path("app/conf/sub")).expect("removed");
    work.apply().expect(0);
    assert_eq!(victims(&host), before);
    inside(&host, "rm -rf conf; ln -s /etc/victim conf; mkfifo fifo");
    work.run(&["destroy", "production", "--allow-destroy", "production", "--purge", "--yes"]).expect(0);
    assert_eq!(victims(&host), before);
    assert!(host.holds(&format!("[ ! -e {APP} ] && [ -z \"$(docker ps -aq)\" ]")));
}

#[test]
fn a_directory_that_a_service_creates_again_and_again_keeps_no_release_from_its_place() {
    let host = BedHost::docker();
    let work = released(&host);
    inside(
        &host,
        "rm -f conf/app.conf; (while :; do mkdir -p conf/app.conf/x; done) </dev/null >/dev/null 2>&1 &\nsleep 0.2",
    );
    for text in ["a=2\n", "a=3\n"] {
        work.write("app/conf/app.conf", text);
        work.apply().expect(0);
        assert_eq!(host.shell(&format!("cat {APP}/conf/app.conf")), text);
        inside(&host, "rm -f conf/app.conf");
    }
    // The same with a file in place of a directory.
    inside(
        &host,
        "rm -rf conf/sub; (set +e; while :; do : >conf/sub; done) </dev/null >/dev/null 2>&1 &\nsleep 0.2; [ -f conf/sub ]",
    );
    work.apply().expect(0);
    assert_eq!(host.shell(&format!("cat {APP}/conf/sub/motd")), "hello\n");
    work.run(&["destroy", "production", "--allow-destroy", "production", "--purge", "--yes"]).expect(0);
    assert!(host.holds(&format!("[ ! -e {APP} ]")));
}

#[test]
fn a_service_cannot_choose_what_root_runs_or_whose_its_directory_is() {
    let host = BedHost::docker();
    let work = released(&host);
    host.shell(&format!("printf '%s' '{GREEDY}' >{APP}/greedy.yaml"));
    host.shell(
        "docker exec -d shop--production-web-1 sh -c 'while :; do cp /app/greedy.yaml /app/compose.yaml; cp /app/greedy.yaml /app/.env; done'",
    );
    let marker = r#"{"version":1,"project":"other","environment":"other"}"#;
    host.shell(&format!("printf '%s' '{marker}' >{APP}/.deployer"));
    for page in ["a=2\n", "a=3\n"] {
        work.write("app/conf/app.conf", page);
        // The files change during the whole run, so the run may succeed or fail.
        work.run(&["apply", "--json"]);
        let mounts = host.shell("docker ps -aq | xargs docker inspect -f '{{range .Mounts}}{{.Source}} {{end}}'");
        assert!(mounts.split_whitespace().all(|source| source.starts_with(APP)), "{mounts}");
    }
    host.shell("docker restart -t 0 shop--production-web-1 >/dev/null");
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(containers(&host).keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(host.shell(&format!("cat {APP}/compose.yaml")), COMPOSE);
    work.run(&["destroy", "production", "--allow-destroy", "production", "--yes"]).expect(0);
}

/// Files of a size that no release gave them are cheap to make, and root does not read them. Of many contents, only
/// some are shown.
#[test]
fn sparse_and_full_files_in_place_of_a_release_keep_no_command_from_its_end() {
    let host = BedHost::docker();
    let work = released(&host);
    for number in 0..700 {
        work.write(&format!("app/site/{number}"), format!("a={number}\n"));
    }
    work.apply().expect(0);
    inside(
        &host,
        "cd site; n=0; while [ $n -lt 400 ]; do truncate -s 67108864 $n; n=$((n + 1)); done
         while [ $n -lt 700 ]; do head -c 65536 /dev/zero | tr '\\0' x >$n; n=$((n + 1)); done
         rm 0; mkdir -p 0/kept; for n in 1 2 3 4 5 6 7 8 9; do : >0.deployer-saved-$n; done",
    );
    let plan = work.run(&["plan", "--json"]).expect(0);
    assert_eq!(plan.stdout.matches("a file of another size").count(), 699, "{}", plan.stdout);
    work.run(&["status"]).expect(0);
    work.apply().expect(0);
    let now = host.shell(&format!("cd {APP}/site; cat 0 1 699; find . -name '0.deployer-saved-*' -type d"));
    assert!(now.starts_with("a=0\na=1\na=699\n./0.deployer-saved-"), "{now}");
    inside(&host, "cd site; n=0; while [ $n -lt 400 ]; do truncate -s 67108864 $n; n=$((n + 1)); done");
    work.run(&["destroy", "production", "--allow-destroy", "production", "--yes"]).expect(0);
    // What the service wrote stays, and nothing else.
    let left = host.shell(&format!("find {APP} -name compose.yaml; ls -d /run/deployer.?????? 2>/dev/null; true"));
    assert_eq!(left, "");
}
