//! Ownership: another owner's directory is refused, data of the application is never drift, and seeds belong to the
//! host after they were sent.

use crate::bed::{BedHost, Work};
use crate::scene::{APP, containers, everything, summary};

#[test]
fn a_directory_of_another_project_or_environment_is_refused_unless_taken_over() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.edit("deployment.yaml", "directory: ./app,", "directory: ./app, host_directory: /srv/shop,");
    work.apply().expect(0);
    let before = everything(&host) + &host.shell("find /srv/shop -printf '%p %T@\\n'");

    let text = work.read("deployment.yaml");
    let others = [text.replace("project: shop\n", "project: other\n"), text.replace("  production:\n", "  staging:\n")];
    for other in &others {
        work.write("deployment.yaml", other);
        let _ = std::fs::remove_dir_all(work.path(".deployer"));
        for command in ["plan", "apply"] {
            let refused = work.run(&[command, "--json"]).expect(6);
            assert_eq!(refused.reasons(), ["marker-mismatch"]);
            assert_eq!(refused.outcome(), "refused");
        }
    }
    assert_eq!(everything(&host) + &host.shell("find /srv/shop -printf '%p %T@\\n'"), before);

    // The owner's containers hold the port. The new owner takes over the directory and, by its name, the stack.
    work.edit("deployment.yaml", "host_directory: /srv/shop,", "host_directory: /srv/shop, project: shop--production,");
    assert_eq!(work.run(&["apply", "--take-over", "--json"]).expect(0).outcome(), "changed");
    assert!(host.shell("cat /var/lib/deployer/directories/*").contains("staging"));
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // Now the first owner is refused.
    work.write("deployment.yaml", text.replace("./app,", "./app, files: [compose.yaml],"));
    work.write("app/html/index.html", "page two\n");
    assert_eq!(work.apply().expect(6).reasons(), ["marker-mismatch"]);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
}

/// Makes the usual application, which writes below its directory and into a volume.
fn with_data(host: &BedHost) -> Work {
    let work = Work::demo(host);
    work.edit(
        "app/compose.yaml",
        "volumes: [\"./html:/www:ro\"]\n",
        "volumes: [\"./html:/www:ro\", \"./data:/data\", \"store:/store\"]\n",
    );
    work.edit("app/compose.yaml", "services:\n", "volumes: { store: {} }\nservices:\n");
    work
}

fn kept(host: &BedHost) -> String {
    host.shell(&format!("cat {APP}/data/rows {APP}/data/deep/more {APP}/ours.txt; docker run --rm -v shop--production_store:/s demo:1 cat /s/rows"))
}

#[test]
fn data_is_never_drift_and_goes_with_purge_alone() {
    let host = BedHost::docker();
    let work = with_data(&host);
    work.apply().expect(0);
    host.shell("docker exec $(docker ps -q) sh -c 'mkdir /data/deep; echo one >/data/rows; echo two >/data/deep/more; echo three >/store/rows'");
    host.shell(&format!("echo four >{APP}/ours.txt"));
    assert_eq!(kept(&host), "one\ntwo\nfour\nthree\n");
    let before = containers(&host);
    assert_eq!(work.run(&["plan", "--json"]).expect(0).outcome(), "converged");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(containers(&host), before);

    work.write("app/html/index.html", "page two\n");
    work.apply().expect(0);
    assert_eq!(kept(&host), "one\ntwo\nfour\nthree\n");

    work.run(&["destroy", "production", "--allow-destroy", "production", "--json"]).expect(0);
    assert_eq!(containers(&host).len(), 0);
    let left = host.shell(&format!("cd {APP}; find . -type f | sort"));
    assert_eq!(left, "./data/deep/more\n./data/rows\n./ours.txt\n");
    assert!(host.shell("docker volume ls -q").contains("shop--production_store"));

    work.run(&["apply", "production", "--json"]).expect(0);
    assert_eq!(kept(&host), "one\ntwo\nfour\nthree\n");

    work.run(&["destroy", "production", "--purge", "--allow-destroy", "production", "--json"]).expect(0);
    assert!(host.holds(&format!("[ ! -e {APP} ]")));
    assert_eq!(host.shell("docker volume ls -q"), "");
}

#[test]
fn seeds_are_sent_once_and_then_the_hosts() {
    let host = BedHost::docker();
    let work = with_data(&host);
    work.write("app/data/first", "seed one\n");
    work.write("app/data/second", "seed two\n");
    work.edit("deployment.yaml", "directory: ./app,", "directory: ./app, seed: [\"data/**\"],");
    work.apply().expect(0);
    assert_eq!(host.shell(&format!("cat {APP}/data/first {APP}/data/second")), "seed one\nseed two\n");
    let before = containers(&host);

    host.shell(&format!("echo edited >{APP}/data/first; rm {APP}/data/second"));
    work.write("app/data/first", "seed three\n");
    assert_eq!(summary(&work.run(&["plan", "--json"]).expect(0)), Vec::<String>::new());
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(containers(&host), before);

    work.write("app/html/index.html", "page two\n");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
    assert_eq!(host.shell(&format!("cat {APP}/data/first; ls {APP}/data")), "edited\nfirst\n");

    // A seed that is removed from the application stays on the host.
    std::fs::remove_file(work.path("app/data/second")).expect("removed");
    work.edit("deployment.yaml", "seed: [\"data/**\"],", "seed: [\"data/*\"],");
    work.apply().expect(0);
    assert!(host.holds(&format!("[ -e {APP}/data/first ]")));

    // A seed of an environment that is removed from its host stays, too. Data is deleted only on request.
    work.run(&["destroy", "production", "--allow-destroy", "production", "--json"]).expect(0);
    assert_eq!(
        host.shell(&format!("cat {APP}/data/first; ls -R {APP}")),
        format!("edited\n{APP}:\ndata\n\n{APP}/data:\nfirst\n")
    );
}

/// Somebody's own files are in the directory that a release comes to.
#[test]
fn files_that_no_release_placed_are_kept_when_one_replaces_them() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    let mine = format!("cat {APP}/html/index.html.deployer-saved-* | sort");
    host.script(&format!("mkdir -p {APP}/html; echo mine >{APP}/html/index.html; chmod 0600 {APP}/html/index.html\n"));
    let plan = work.run(&["plan", "--json"]).expect(0);
    assert!(plan.stdout.contains("(not ours: kept as index.html.deployer-saved-…)"), "{}", plan.stdout);
    let run = work.apply().expect(0);
    assert!(run.stdout.contains("html/index.html as html/index.html.deployer-saved-"), "{}", run.stdout);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert_eq!(host.shell(&mine), "mine\n");
    assert_eq!(host.shell(&format!("stat -c %a {APP}/html/index.html.deployer-saved-*")), "600\n");
    // So are those that a later release brings.
    host.shell(&format!("echo also mine >{APP}/html/more.html"));
    work.write("app/html/more.html", "more\n");
    work.apply().expect(0);
    assert_eq!(
        host.shell(&format!("cat {APP}/html/more.html {APP}/html/more.html.deployer-saved-*")),
        "more\nalso mine\n"
    );
    // The release's own are not.
    work.write("app/html/index.html", "page two\n");
    work.apply().expect(0);
    assert_eq!(host.shell(&mine), "mine\n");
}

/// What a destruction left can be purged later; what somebody made by hand in the project stays.
#[test]
fn leftovers_of_a_destruction_can_be_purged_and_objects_made_by_hand_stay() {
    let host = BedHost::docker();
    let work = with_data(&host);
    work.apply().expect(0);
    let labels = "--label com.docker.compose.project=shop--production --label com.docker.compose.service=web";
    host.shell(&format!(
        "docker run -d --init --name tool {labels} demo:1 sleep infinity; docker volume create {labels} by-hand"
    ));
    let started = host.shell("docker inspect -f '{{.State.StartedAt}}' tool");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    let destroy = ["destroy", "production", "--allow-destroy", "production", "--json"];
    let run = work.run(&destroy).expect(0);
    assert!(run.stdout.contains("tool"), "{}", run.stdout);
    assert_eq!(
        host.shell("docker ps -a --format '{{.Names}}'; docker volume ls -q"),
        "tool\nby-hand\nshop--production_store\n"
    );
    assert_eq!(work.run(&destroy).expect(0).outcome(), "converged");
    let purge = [&destroy[..], &["--purge"]].concat();
    let run = work.run(&purge).expect(0);
    for word in ["volume shop--production_store", APP] {
        assert!(run.stdout.contains(word), "{word}: {}", run.stdout);
    }
    assert!(host.holds(&format!("[ ! -e {APP} ]")));
    assert_eq!(
        host.shell("docker volume ls -q; docker inspect -f '{{.State.StartedAt}}' tool"),
        format!("by-hand\n{started}")
    );
    assert_eq!(work.run(&purge).expect(0).outcome(), "converged");
}

#[test]
fn what_containers_write_into_released_files_is_kept_and_directories_can_be_entered() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.write("app/data/app.db", "shipped\n");
    let compose = r#"services:
  web:
    image: demo:1
    command: ["httpd", "-f", "-p", "8080", "-h", "/www/html"]
    user: "33:33"
    init: true
    ports: ["8080:8080"]
    volumes: [".:/www:ro"]
  writer:
    image: demo:1
    command: ["sh", "-c", "echo rows >>/data/app.db; touch /data/own; sleep 1000000"]
    user: "1000:1000"
    init: true
    volumes: ["./data:/data"]
"#;
    work.write("app/compose.yaml", compose);
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"), "another user can enter the directory");
    let app = "/opt/deployer/shop--production";
    assert_eq!(host.shell(&format!("stat -c '%a %U' {app} {app}/data")), "711 deploy\n755 deploy\n");
    assert_eq!(host.shell(&format!("cat {app}/data/app.db")), "shipped\nrows\n");

    let run = work.apply().expect(0);
    assert!(run.stdout.contains("data/app.db.deployer-saved-"), "it is named: {}", run.stdout);
    assert_eq!(host.shell(&format!("cat {app}/data/app.db.deployer-saved-*")), "shipped\nrows\n");

    // A file that the next release does not have is kept too.
    std::fs::remove_file(work.path("app/data/app.db")).expect("the file");
    host.shell(&format!("echo more >{app}/data/app.db"));
    work.apply().expect(0);
    assert!(host.shell(&format!("cat {app}/data/app.db.deployer-saved-*")).contains("more\n"));
    assert!(host.holds(&format!("[ -e {app}/data/own ]")));

    // Removal leaves what a container wrote, and says so.
    work.write("app/data/app.db", "shipped again\n");
    work.apply().expect(0);
    let run = work.run(&["destroy", "production", "--yes", "--allow-destroy", "production", "--json"]).expect(0);
    assert!(run.stdout.contains("data/app.db stays: it was changed on the host"), "{}", run.stdout);
    assert!(host.shell(&format!("cat {app}/data/app.db")).ends_with("rows\n"));
    assert!(host.holds(&format!("[ ! -e {app}/compose.yaml ] && [ ! -e {app}/html/index.html ]")));
}

#[test]
fn a_purge_spares_homes_and_directories_that_held_other_files() {
    let host = BedHost::docker();
    for (directory, why) in [("/home/deploy", "home directory of deploy"), ("/srv/held", "held other files")] {
        host.shell(&format!("mkdir -p {directory}; echo photo >{directory}/a.jpg"));
        let work = Work::demo(&host);
        work.edit("deployment.yaml", "directory: ./app,", &format!("directory: ./app, host_directory: {directory},"));
        work.apply().expect(0);
        let before = containers(&host);
        let purge = ["destroy", "production", "--purge", "--yes", "--allow-destroy", "production", "--json"];
        let run = work.run(&purge).expect(1);
        assert!(run.stdout.contains(why), "{}", run.stdout);
        assert_eq!(containers(&host), before, "nothing was stopped");
        work.run(&["destroy", "production", "--yes", "--allow-destroy", "production"]).expect(0);
        assert!(host.holds(&format!("[ -e {directory}/a.jpg ] && [ ! -e {directory}/compose.yaml ]")));
        host.shell("rm -rf /var/lib/deployer");
    }
}
