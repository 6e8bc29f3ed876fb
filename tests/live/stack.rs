//! The Torrust tracker stack on a real host, with the real tracker, `MariaDB` in place of `MySQL`, Prometheus and
//! Caddy, and real BitTorrent traffic. Next to the tracker, whose version has no Prometheus format, a stand-in serves
//! its metrics.

use crate::bed::{BedHost, Run, Work, bed_value};
use crate::scene::{containers, traffic};
use deployer::resource::contract::lease::BEAT;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const ROOT: &str = "/opt/deployer/torrent--production";
const TOKEN: &str = "to\"k$en&x=1";
const PASSWORD: &str = "p@ss:w/ord#%'\"\\";

/// Makes a directory with a stack whose section of the manifest is `tracker`, with each line indented by eight.
pub fn stack(host: &BedHost, configure: &str, tracker: &str) -> Work {
    let work = Work::empty();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/stack");
    std::fs::create_dir_all(work.path("templates")).expect("a directory");
    work.link("templates/tracker", &own);
    let directory = bed_value("BED_STACK");
    let archives = [
        ("torrust/tracker:3.0.0", "tracker"),
        ("mysql:mariadb", "mysql"),
        ("prom/prometheus:2.53", "prometheus"),
        ("caddy:2.6", "caddy"),
        ("deployer/tracker-metrics:1", "tracker-metrics"),
    ]
    .iter()
    .fold(String::new(), |text, (image, file)| {
        text + &format!("          \"{image}\": {}/{file}.tar\n", directory.display())
    });
    let text = format!(
        "version: 1\nproject: torrent\nenvironments:\n  production:\n    registered: {{ address: {} }}\n    public_addresses: [\"{}\"]\n    \
         ssh: {{ user: deploy, identity_file: {}, host_key: [\"{}\"], wait: 0s }}\n{configure}    application:\n      tracker:\n{tracker}        \
         images: {{ mysql: \"mysql:mariadb\", prometheus: \"prom/prometheus:2.53\", caddy: \"caddy:2.6\" }}\n        \
                             archives:\n{archives}",
        host.ipv4,
        host.ipv6,
        bed_value("BED_KEY").display(),
        host.host_key(),
    );
    work.write("deployment.yaml", text);
    work
}

/// Loads these images of the stack into a host, as if it had pulled them.
pub fn load_images(host: &BedHost, names: &[&str]) {
    let folder = tempfile::tempdir().expect("a directory");
    for name in names.iter().map(|name| format!("{name}.tar")) {
        std::fs::copy(bed_value("BED_STACK").join(&name), folder.path().join(&name)).expect("a copy");
    }
    host.send(folder.path(), "/root/images");
    host.shell("for file in /root/images/*.tar; do docker load -q -i $file; done; rm -r /root/images");
}

/// Runs deployer with the stack's secrets, on a machine where the names of the stack resolve to its host.
pub fn run(work: &Work, host: &BedHost, arguments: &[&str], secrets: [&str; 2]) -> Run {
    Work::finish(&mut command(work, host, arguments, secrets))
}

/// Returns the command of [`run`].
pub fn command(work: &Work, host: &BedHost, arguments: &[&str], secrets: [&str; 2]) -> Command {
    let names = "http.tracker.test api.tracker.test";
    work.write("hosts", format!("127.0.0.1 localhost\n{} {names}\n{} {names}\n", host.ipv4, host.ipv6));
    let plain = work.command(arguments);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount --bind hosts /etc/hosts && exec \"$@\"", "sh"]).arg(plain.get_program());
    command.args(plain.get_args()).current_dir(work.path(".")).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TRACKER_TOKEN", secrets[0]).env("TRACKER_DB_PASSWORD", secrets[1]);
    command
}

/// Returns the verdicts of `deployer test` by check, and asserts that none of them is a failure.
fn verdicts(work: &Work, host: &BedHost, secrets: [&str; 2]) -> BTreeMap<String, (String, String)> {
    let run = run(work, host, &["test", "--json"], secrets).expect(0);
    for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{run:?}");
    }
    let text = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let found = run.of("verdict");
    found.iter().map(|it| (text(it, "name"), (text(it, "outcome"), text(it, "detail")))).collect()
}

fn is_open(address: &str, port: u16) -> bool {
    let address = (address, port).to_socket_addrs().expect("an address").next().expect("one");
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}

const FULL: &str = "        database: { mysql: { password: { from_env: TRACKER_DB_PASSWORD } } }
        udp: [{ port: 6969 }]
        http: [{ port: 7070, domain: http.tracker.test, tls: true }]
        api: { token: { from_env: TRACKER_TOKEN }, domain: api.tracker.test, tls: true }
        prometheus: { scrape_interval: 2s }
        tls: { issuer: internal }
";

#[test]
fn one_command_brings_a_bare_host_to_the_whole_stack_and_its_test_passes() {
    let host = BedHost::bare();
    let work = stack(&host, "    health: { smoke: true }\n", FULL);
    let secrets = [TOKEN, PASSWORD];
    run(&work, &host, &["apply", "--json"], secrets).expect(0);
    assert_eq!(run(&work, &host, &["apply", "--json"], secrets).expect(0).outcome(), "converged");

    let found = verdicts(&work, &host, secrets);
    for (name, seen) in [
        (format!("UDP tracker 6969 at {}", host.ipv4), "seen over IPv4"),
        (format!("UDP tracker 6969 at {}", host.ipv6), "seen over IPv6"),
        (format!("HTTP tracker http.tracker.test at {}", host.ipv4), "seen over IPv4"),
        (format!("HTTP tracker http.tracker.test at {}", host.ipv6), "seen over IPv6"),
        (format!("API at {}", host.ipv6), "status 200"),
        ("certificate of api.tracker.test".to_owned(), "valid for"),
        ("DNS of http.tracker.test".to_owned(), "AAAA"),
        ("health check API".to_owned(), "status 200"),
        ("Prometheus".to_owned(), "2 targets up"),
        ("container mysql-account".to_owned(), "ended"),
        ("clock".to_owned(), ""),
        ("UDP drops in tracker".to_owned(), "none"),
    ] {
        let (outcome, detail) = found.get(&name).unwrap_or_else(|| panic!("{name} was not checked: {found:?}"));
        assert!(outcome == "passed" && detail.contains(seen), "{name}: {outcome}, {detail}");
    }

    crate::dashboards::every_query_returns_data(&host);

    // Faults of the predecessor.
    assert!(is_open(&host.ipv4, 443) && !is_open(&host.ipv4, 3306) && !is_open(&host.ipv4, 9090));
    assert!(!is_open(&host.ipv4, 1212) && !is_open(&host.ipv4, 7070), "what is behind TLS is not published itself");
    assert!(host.holds("curl -sf http://127.0.0.1:9090/-/healthy"));
    assert!(host.holds(&format!("[ -z \"$(find {ROOT}/storage/tracker -name '*.db')\" ]")));
    assert_eq!(host.shell(&format!("stat -c '%a %U' {ROOT}/storage/mysql/secrets/root")).trim(), "600 root");
    let id = host.shell("id -u deploy");
    let runs_as = "ps -eo uid,comm | awk '/torrust-tracker/ { print $1 }'";
    assert_eq!(host.shell(runs_as).trim(), id.trim(), "the tracker is no root");

    rotation(&work, &host);
    rejection(&work, &host);
    removal(&work, &host);
}

/// Tests that new secrets reach the services that use them, and that no other service restarts.
fn rotation(work: &Work, host: &BedHost) {
    let root = host.shell(&format!("cat {ROOT}/storage/mysql/secrets/root"));
    let before = containers(host);
    let secrets = ["12345", "another 'p@ss\""];
    run(work, host, &["apply", "--json"], secrets).expect(0);
    let after = containers(host);
    for name in ["caddy", "mysql"] {
        assert_eq!(before[name], after[name], "{name} uses nothing of what changed");
    }
    for name in ["tracker", "prometheus"] {
        assert_ne!(before[name], after[name], "{name} uses what changed");
    }
    assert_eq!(host.shell(&format!("cat {ROOT}/storage/mysql/secrets/root")), root);
    let found = verdicts(work, host, secrets);
    assert_eq!(found["Prometheus"].0, "passed", "{found:?}");
    assert_eq!(run(work, host, &["apply", "--json"], secrets).expect(0).outcome(), "converged");
}

/// Tests that a release that runs but does not work for its users is replaced by the previous one.
fn rejection(work: &Work, host: &BedHost) {
    let secrets = ["12345", "another 'p@ss\""];
    let before = containers(host)["mysql"].clone();
    work.edit("deployment.yaml", "domain: http.tracker.test", "domain: nobody.tracker.test");
    let run = run(work, host, &["apply", "--json"], secrets).expect(1);
    assert_eq!(run.reasons(), ["rolled-back"]);
    assert!(run.stdout.contains("nobody.tracker.test does not resolve"), "{}", run.stdout);
    work.edit("deployment.yaml", "domain: nobody.tracker.test", "domain: http.tracker.test");
    verdicts(work, host, secrets);
    assert_eq!(containers(host)["mysql"], before);
}

/// Tests that a part that is removed from the manifest is removed from the host, and that nothing else restarts.
fn removal(work: &Work, host: &BedHost) {
    let secrets = ["12345", "another 'p@ss\""];
    let before = containers(host);
    work.edit("deployment.yaml", "        prometheus: { scrape_interval: 2s }\n", "");
    run(work, host, &["apply", "--json"], secrets).expect(0);
    let after = containers(host);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["caddy", "mysql", "tracker"]);
    for (name, id) in &after {
        assert_eq!(before.get(name), Some(id), "{name} has nothing to do with Prometheus");
    }
    assert_eq!(run(work, host, &["apply", "--json"], secrets).expect(0).outcome(), "converged");
}

#[test]
fn a_host_with_docker_and_images_is_ready_in_few_round_trips() {
    let host = BedHost::docker();
    load_images(&host, &["tracker", "mysql", "prometheus", "caddy", "tracker-metrics"]);
    let work = stack(&host, "", FULL);
    let (begun, mut waits) = (Instant::now(), 0);
    let (connections, commands) = traffic(&host, || {
        let run = run(&work, &host, &["apply", "--json"], [TOKEN, PASSWORD]).expect(0);
        let is_wait =
            |event: &&Value| event["activity"].as_str().is_some_and(|activity| activity.starts_with("wait: "));
        waits = run.of("progress").iter().filter(is_wait).count();
    });
    // The speed of the host decides how often deployer renews its lease and asks whether the services are healthy.
    let beats = usize::try_from(begun.elapsed().as_secs() / BEAT.as_secs()).expect("a short time");
    let told = format!("{connections} connections, {commands} commands, {waits} waits, at most {beats} beats");
    assert!(connections == 1 && commands <= 10 + waits + beats, "{told}");
}

/// Returns a tracker's answer to a peer that announces itself from a host, in hexadecimal digits.
fn announce(from: Option<&BedHost>, address: &str, hash: &str, port: u16) -> String {
    let script = format!("{}\nannounce {address} 6969 {hash} {port}\n", include_str!("announce.sh"));
    if let Some(host) = from {
        return host.script(&format!("exec bash -s <<'END'\n{script}END\n"));
    }
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn peers_of_another_host_have_that_hosts_own_addresses_and_what_is_closed_is_closed() {
    let (host, other) = (BedHost::docker(), BedHost::bare());
    let tracker = "        database: { sqlite: { file: torrents.db } }\n        udp: [{ port: 6969 }, { port: 6868 }]\n        \
                   http: [{ port: 7070 }]\n        api: { token: { from_env: TRACKER_TOKEN }, bind: 127.0.0.1 }\n";
    let work = stack(&host, "    configure: { engine: { ipv6: true } }\n", tracker);
    let secrets = ["secret-token", ""];
    let first = run(&work, &host, &["apply", "--json"], secrets).expect(0);
    assert!(first.stdout.contains("restarts the Docker engine"), "{}", first.stdout);
    let found = verdicts(&work, &host, secrets);
    assert!(found.values().all(|(outcome, _)| outcome != "failed"), "{found:?}");
    assert!(found.keys().any(|name| name.starts_with("UDP tracker 6868")), "{found:?}");

    let (four, six) = (other.ipv4.parse::<std::net::Ipv4Addr>(), other.ipv6.parse::<std::net::Ipv6Addr>());
    let (four, six) = (hex(&four.expect("IPv4").octets()), hex(&six.expect("IPv6").octets()));
    let hash = "0123456789abcdef0123456789abcdef01234567";
    for (address, own, at) in [(&host.ipv4, four, 4000), (&host.ipv6, six, 4001)] {
        assert!(announce(Some(&other), address, hash, at).len() >= 40, "an answer");
        let answer = announce(None, address, hash, at + 10);
        let peer = format!("{own}{at:04x}");
        assert!(answer[40..].contains(&peer), "{peer} is not among the peers of {answer}");
        let url = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        let query = |port: u16| {
            let bytes = hash.as_bytes().chunks(2);
            let hash = bytes.fold(String::new(), |text, pair| text + "%" + &String::from_utf8_lossy(pair));
            format!(
                "curl -sg 'http://{url}:7070/announce?info_hash={hash}&peer_id=-DP-000000000000{port}&port={port}&uploaded=0&downloaded=0&left=0&event=started&compact=0'"
            )
        };
        other.shell(&format!("{} >/dev/null", query(at)));
        let answer = Command::new("sh").args(["-c", &query(at + 20)]).output().expect("curl starts");
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        let own = if address.contains(':') { &other.ipv6 } else { &other.ipv4 };
        assert!(answer.contains(&format!("2:ip{}:{own}", own.len())), "{own} is not among the peers of {answer}");
    }

    // When a tracker is removed from the manifest, its port closes.
    let holds = |port: u16| host.holds(&format!("ss -Huln | grep -q ':{port} '"));
    assert!(holds(6868) && is_open(&host.ipv4, 7070) && !is_open(&host.ipv4, 1212));
    work.edit("deployment.yaml", ", { port: 6868 }", "");
    run(&work, &host, &["apply", "--json"], secrets).expect(0);
    assert!(!holds(6868) && holds(6969));
    assert_eq!(run(&work, &host, &["apply", "--json"], secrets).expect(0).outcome(), "converged");
}
