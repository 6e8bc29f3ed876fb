//! The main task: from a bare host to a running application, then nothing to do, whichever runner asks.

use crate::bed::{BedHost, Work, bed_value};
use crate::scene::{containers, everything, traffic};

#[test]
fn a_bare_host_becomes_running_and_a_second_apply_changes_nothing() {
    let host = BedHost::bare();
    let work = Work::demo(&host);
    let first = work.apply().expect(0);
    assert_eq!(first.outcome(), "changed");
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));

    let before = everything(&host);
    let second = work.apply().expect(0);
    assert_eq!(second.outcome(), "converged");
    assert_eq!(everything(&host), before);
}

#[test]
fn a_converged_host_costs_one_connection_and_two_commands_at_most() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.apply().expect(0);
    let before = containers(&host);
    let (connections, commands) = traffic(&host, || assert_eq!(work.apply().expect(0).outcome(), "converged"));
    assert_eq!(connections, 1);
    assert!((1..=2).contains(&commands), "{commands} commands");
    let (connections, commands) =
        traffic(&host, || assert_eq!(work.run(&["plan", "--json"]).expect(0).outcome(), "converged"));
    assert_eq!(connections, 1);
    assert!((1..=2).contains(&commands), "{commands} commands");
    assert_eq!(containers(&host), before);
}

/// Makes the usual application with a secret in its environment and a rendered file.
fn with_secret(host: &BedHost) -> Work {
    let work = Work::demo(host);
    work.edit(
        "app/compose.yaml",
        "    image: demo:1\n",
        "    image: demo:1\n    environment: { TOKEN: \"${TOKEN}\" }\n",
    );
    work.write("app/html/token.txt.tera", "{{ TOKEN }}\n");
    let variables = "variables: { TOKEN: { from_env: SHOP_TOKEN } }, templates: true, archives";
    work.edit("deployment.yaml", "archives", variables);
    work
}

fn apply(work: &Work) -> crate::bed::Run {
    Work::finish(work.command(&["apply", "--json"]).env("SHOP_TOKEN", "it's $ecret \"quoted\""))
}

#[test]
fn a_lost_store_and_another_copy_of_the_manifest_change_nothing_secrets_included() {
    let host = BedHost::docker();
    let work = with_secret(&host);
    apply(&work).expect(0);
    let token = host.shell("docker exec $(docker ps -q) sh -c 'printf %s \"$TOKEN\"'");
    assert_eq!(token, "it's $ecret \"quoted\"");
    let before = everything(&host);

    std::fs::remove_dir_all(work.path(".deployer")).expect("a store");
    assert_eq!(apply(&work).expect(0).outcome(), "converged");

    let copy = Work::empty();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args(["app", "deployment.yaml", "demo.tar"].map(|name| work.path(name)))
        .arg(copy.directory.path())
        .status();
    assert!(copied.expect("cp starts").success());
    assert_eq!(apply(&copy).expect(0).outcome(), "converged");
    assert_eq!(everything(&host), before);

    // Another value is a change: the secret was compared, not left out.
    let other = Work::finish(copy.command(&["plan", "--json"]).env("SHOP_TOKEN", "another"));
    assert_eq!(other.expect(0).outcome(), "planned");
}

/// Applies with root's home directory, in which ssh searches, replaced by the test's, for this process only.
fn at_home(work: &Work) -> crate::bed::Run {
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let home = format!(":{}:", work.path("home").display());
    work.write("passwd", users.replacen(":/root:", &home, 1));
    let command = work.command(&["apply", "--json"]);
    let mut inside = std::process::Command::new("unshare");
    inside.args(["-m", "sh", "-c", "mount --bind passwd /etc/passwd && exec \"$@\"", "sh"]);
    inside.arg(command.get_program()).args(command.get_args()).current_dir(work.directory.path()).env_clear();
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Work::finish(inside.env("SHOP_TOKEN", "it's $ecret \"quoted\""))
}

#[test]
fn a_host_key_in_known_hosts_alone_is_enough_without_a_store() {
    let host = BedHost::docker();
    let work = with_secret(&host);
    work.edit("deployment.yaml", &format!(", host_key: [\"{}\"]", host.host_key()), "");
    assert_eq!(apply(&work).expect(7).reasons(), ["host-key-unknown"]);

    std::fs::create_dir_all(work.path("home/.ssh")).expect("a directory");
    std::fs::copy(bed_value("BED_KNOWN_HOSTS"), work.path("home/.ssh/known_hosts")).expect("known hosts");
    at_home(&work).expect(0);
    std::fs::remove_dir_all(work.path(".deployer")).expect("a store");
    assert_eq!(at_home(&work).expect(0).outcome(), "converged");
}

#[test]
fn an_ipv6_address_is_an_address() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.edit("deployment.yaml", &format!("address: {}", host.ipv4), &format!("address: \"{}\"", host.ipv6));
    work.edit("deployment.yaml", "port: 8080, path: / }", "port: 8080, path: / }, from: runner");
    let run = work.apply().expect(0);
    assert_eq!(run.outcome(), "changed");
    let endpoints = run.of("environment")[0]["endpoints"].clone();
    assert_eq!(endpoints, serde_json::json!([format!("http://[{}]:8080", host.ipv6)]));
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}
