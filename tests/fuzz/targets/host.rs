//! Input from hosts.

use super::{bytes, files, read, target, text};
use crate::Target;
use crate::given::{Given, given, marks as marks_of_a_probe, output, root};
use camino::{Utf8Path, Utf8PathBuf};
use deployer::foreign;
use deployer::model::diff;
use deployer::model::state::Kind;
use deployer::reconcile::annotate;
use deployer::resource::compose::model::Model;
use deployer::resource::contract::frame::Marks;
use deployer::resource::contract::lease;
use deployer::resource::{self, backups, files as release_files, images, schedules, services};
use deployer::smoke::facts::{Between, Subject, verdicts};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::LazyLock;

const WORDS: &[&str] = &[
    "@@deployer begin files\n",
    "\n@@deployer end files\n",
    "@@deployer begin access\n",
    "current {",
    "swapping {",
    "staged {",
    "model {",
    "owned ",
    "check ",
    "port tcp ",
    "again\n",
    "still tcp ",
    "marker {",
    "held ",
    "serial ",
    "key ",
    "room ",
    "claim directory /",
    "neighbour inside two/web /",
    "neighbour project ",
    "unit ",
    "state ",
    "backup made ",
    "{\"id\":\"",
    "\"1-65535\"",
    "\u{0}",
];

pub fn all() -> Vec<Target> {
    vec![
        probe_target(),
        target("marks", marks(), &["deployer-ready\n", "deployer-begin n0\n", "\ndeployer-end n0 ", "\n"], |bytes| {
            for size in [1, 7, 4096] {
                // Only inputs that fit into one packet are split into single bytes.
                if size > 1 || bytes.len() < 4096 {
                    foreign::marks(bytes, "n0", size);
                }
            }
        }),
        target(
            "compose-model",
            models(),
            &["\"1-65535\"", "{\"type\":\"bind\",\"source\":\"/s\"},", "\"ports\":["],
            model,
        ),
        target("release-list", releases(), &["\0", "{\"version\":1,"], |bytes| {
            let _ = release_files::parse_list(bytes);
        }),
        target(
            "backup-list",
            bytes(&[
                "1796000000 1048576 shop--web-20261126T000000Z.tar.gz\n",
                "backup made 17 5 ab a--b-1.tar.gz\nbackup failed 1 no\n",
            ]),
            &["backup made ", "backup restoring ", " ", "../../x.tar.gz"],
            |bytes| {
                let _ = (backups::parse_list(bytes), backups::parse(bytes), schedules::parse(bytes));
            },
        ),
        target(
            "lease",
            bytes(&["held 7 12 alice@laptop 20209 apply\n", "token 9\n", "held 7 12 {\"command\":\"apply\"}\n"]),
            &["held ", "token ", "lost"],
            |bytes| {
                let _ = lease::parse(bytes);
            },
        ),
        target("registry", registries(), &["demo:1 ", "{\"Descriptor\":{\"digest\":\"sha256:"], |bytes| {
            let images = BTreeSet::from(["demo:1".to_owned(), "b:2".to_owned()]);
            let _ = images::registry::parse(&text(bytes), &images, "no answer");
        }),
        target(
            "stack",
            bytes(&[
                "address tracker 172.18.0.2 \naddress grafana\n-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n",
            ]),
            &["address ", "-----BEGIN CERTIFICATE-----\n"],
            |bytes| foreign::stack(&text(bytes)),
        ),
        target(
            "host-facts",
            read("smoke", &["txt"]),
            &["container\t", "udp4\t", "disk\t", "clock\t", "conntrack\t", "\t"],
            |bytes| {
                let subject =
                    Subject { projects: BTreeSet::from(["shop--prod".to_owned()]), directory: "/opt/shop".to_owned() };
                let at = |second| Timestamp::from_second(second).unwrap();
                let _ = verdicts(&text(bytes), &subject, Between { sent: at(1_795_387_568), heard: at(1_795_387_569) });
            },
        ),
        target(
            "contents",
            bytes(&["5 a/b\nhello\n0 c\n\n", "12 é.conf\nline\nline 2\n\n"]),
            &["65536 x\n", "18446744073709551615 x\n"],
            foreign::contents,
        ),
        target("live-diff", diffs(), &["\n---\n", "a\n", "b\n"], |bytes| {
            // The limit of `preview`: at most 64 KiB on either side.
            let bytes = &bytes[..bytes.len().min(128 << 10)];
            let whole = text(bytes);
            let (old, new) = whole.split_at(whole.floor_char_boundary(whole.len() / 2));
            let _ = annotate::unified(old, new);
        }),
        target(
            "ssh-complaints",
            [read("ssh", &["txt"]), read("sudo", &["txt"])].concat(),
            &["Permission denied (", "\n", "@"],
            |bytes| {
                foreign::complaints(&text(bytes));
            },
        ),
        target("known-hosts", keys(), &["ssh-ed25519 ", "@cert-authority ", "|1|", "AAAA"], |bytes| {
            let said = text(bytes);
            said.lines().for_each(|line| drop(deployer::io::ssh::public(line)));
        }),
    ]
}

/// Returns the recordings of hosts, each completed to a whole probe.
fn probes() -> Vec<Vec<u8>> {
    let recordings = files("step", &["txt"]).into_iter().map(|path| output(&std::fs::read_to_string(path).unwrap()));
    recordings.collect()
}

static MARKS: LazyLock<Marks> = LazyLock::new(marks_of_a_probe);

fn probe_target() -> Target {
    let mut made = target("probe", probes(), WORDS, probe);
    for mark in ["begin files\n", "begin access\n", "begin x\n", "end files 0\n", "end access 0\n"] {
        made.tokens.push(format!("\n{} {mark}", MARKS.as_str()));
    }
    made
}

static GIVEN: LazyLock<Given> = LazyLock::new(|| given(&root().join("files/converged.txt")).unwrap());

/// Reads a probe, and makes every decision that a plan makes from it.
fn probe(bytes: &[u8]) {
    let Ok(facts) = resource::parse(&MARKS, bytes) else { return };
    for kind in Kind::ALL {
        GIVEN.facts.clone().renew(kind, facts.clone());
    }
    let subject = GIVEN.subject();
    let (observed, desired) = (resource::observed(&subject, &facts), resource::desired(&subject, &facts));
    for kind in Kind::ALL {
        let of = |state: &deployer::model::state::State| state.0.get(&kind).cloned().unwrap_or_default();
        let _ = diff::changes(&of(&observed), &of(&desired));
        if resource::preflight(kind, &subject, &facts).is_none() {
            let _ = resource::commands(kind, &subject, &facts, "NEW");
        }
    }
    let _ = (services::finish(&subject, &facts), backups::view(&subject, &facts));
    let _ = images::registry::unasked(&subject, &facts);
}

fn marks() -> Vec<Vec<u8>> {
    bytes(&[
        "Welcome\ndeployer-ready\ndeployer-begin n0\nline 1\nline 2\n\ndeployer-end n0 0\nnoise",
        "deployer-ready\ndeployer-begin n0\n\n\ndeployer-end n0 17\n",
    ])
}

fn models() -> Vec<Vec<u8>> {
    bytes(&[
        r#"{"services":{"web":{"image":"demo:1","volumes":[{"type":"bind","source":"/s/html","target":"/www"},{"type":"volume","source":"data","target":"/data"}],"configs":[{"source":"c"}],"secrets":[{"source":"s"}],"ports":[{"published":"8080-8081","target":80,"host_ip":"::"},{"published":443}],"deploy":{"replicas":2},"build":{"context":"/s"},"scale":3}},"configs":{"c":{"file":"/s/c.conf"},"d":{"content":"x"}},"secrets":{"s":{"environment":"TOKEN"}}}"#,
        r#"{"services":{"a":{"ports":[{"published":"1-65535","protocol":"udp"}],"volumes":[{"type":"bind","source":"/s"}]}}}"#,
    ])
}

fn model(bytes: &[u8]) {
    static PATHS: LazyLock<Vec<Utf8PathBuf>> =
        LazyLock::new(|| (0..3000).map(|number| format!("html/{}/{number}", number % 7).into()).collect());
    let Ok(model) = Model::parse(&text(bytes)) else { return };
    let records = model.records(Utf8Path::new("/s"), &PATHS.iter(), &|_| Some([1; 32]), &|_| String::new());
    let sent: Vec<&Utf8PathBuf> = PATHS.iter().collect();
    for name in records.keys() {
        let _ = model.sent_to(name, Utf8Path::new("/s"), &sent);
    }
    let _ = model.builds().count();
}

fn releases() -> Vec<Vec<u8>> {
    let record = r#"{"version":1,"id":"20261122T190000Z-a","order":3,"digest":"d","directory":"/a","project":"p","compose_files":["compose.yaml"],"files":{"a":{"value":"644 sha256:00"}},"services":{"web":{"image":"demo:1","reads":["a"],"ports":[{"address":"","port":80,"protocol":"tcp"}],"replicas":1,"end":"running"}}}"#;
    vec![record.as_bytes().to_vec(), format!("{record}\0{record}").into_bytes()]
}

fn registries() -> Vec<Vec<u8>> {
    bytes(&[
        "demo:1 {\"Ref\":\"demo:1\",\"Descriptor\":{\"mediaType\":\"x\",\"digest\":\"sha256:00\",\"size\":1}}\nb:2 {\"message\":\"no\"}\n",
        "demo:1 no such host\n",
    ])
}

fn diffs() -> Vec<Vec<u8>> {
    let lines = |odd: usize| (0..4000).fold(String::new(), |text, line| format!("{text}{}\n", line * odd % 257));
    vec![b"a\nb\nc\na\nb\nd\n".to_vec(), (lines(7) + &lines(11)).into_bytes()]
}

fn keys() -> Vec<Vec<u8>> {
    bytes(&[
        "example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFpj1PG2kbZ0WvWm8m0rV0Tn1uQqJm8v0uNQ2k6wq1cD comment\n",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ== a@b\n# comment\n|1|c2FsdA==|aGFzaA== ssh-ed25519 AAAA\n",
    ])
}
