//! Replays a compromised host that sends whatever helps the attacker: names that are paths, records and containers that
//! contain shell code, frames inside frames. An invalid name is treated as missing, and everything else is read as
//! before.

use camino::Utf8Path;
use deployer::model::state::Kind;
use deployer::resource::compose::container;
use deployer::resource::contract::frame::Marks;
use deployer::resource::contract::marker::Marker;
use deployer::resource::contract::record::{DigestKey, FileRecord, Rejected, ReleaseRecord};
use deployer::resource::{self, HostFacts, backups, files, images, schedules, scripts, updates};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const HEX: &str = "961e45afc8ab652505120e4df4b1de391934c0af3f87df85a62dd2e0c1c2e5c5";

/// Names that must not reach a path, a script or a file name.
const HOSTILE: [&str; 14] = [
    "/../../victim/authorized_keys",
    "../x",
    "/etc/passwd",
    "a/../../b",
    "-rf",
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned",
    "a'b",
    "a\"b",
    "a b",
    "a\nb",
    "a\u{1b}[2Jb",
    "",
];

fn record(id: &str, directory: &str, path: &str, service: &str, image: &str) -> String {
    serde_json::json!({
        "version": 1, "id": id, "order": 3, "digest": "5dfb4dad36b02f5d", "directory": directory,
        "project": "shop--web", "compose_files": [path],
        "files": { path: { "value": "0644 sha256:e9e43f5d94e2539b18b1f774e4def2c8", "placed": id } },
        "services": { service: {
            "image": image, "reads": [path], "replicas": 1, "end": "running", "image_id": format!("sha256:{HEX}"),
            "ports": [{ "address": "127.0.0.1", "port": 80, "protocol": "tcp" }],
        } },
    })
    .to_string()
}

#[test]
fn a_record_with_a_path_or_shell_in_it_is_refused() {
    let honest = record("20261122T170032Z-655f", "/opt/deployer/shop--web", "html/index.html", "web", "demo:1");
    assert!(ReleaseRecord::read(honest.as_bytes()).is_some_and(|record| record.restorable()));
    for text in HOSTILE {
        let mut all = vec![record(text, "/opt/a", "a", "web", "demo:1"), record("id", "/opt/a", "a", text, "demo:1")];
        if !text.is_empty() {
            all.push(record("id", "/opt/a", "a", "web", text));
        }
        // A file may have any name except one that leads out or contains a line break.
        if text.contains("..") || text.starts_with('/') || text.is_empty() || text.contains('\n') {
            all.push(record("id", "/opt/a", text, "web", "demo:1"));
        }
        if !text.starts_with("/etc") {
            all.push(record("id", text, "a", "web", "demo:1"));
        }
        for json in all {
            assert!(ReleaseRecord::read(json.as_bytes()).is_none(), "{json}");
            let output = format!("current {json}\0staged {json}\0model {{}}\0");
            let seen = files::parse(output.as_bytes()).unwrap();
            assert!(seen.current.is_none() && seen.staged.is_none());
            assert!(files::parse_list(json.as_bytes()).is_empty());
        }
        let rejected = serde_json::json!([{ "digest": text, "release": text, "by": "hand", "message": "m",
            "at": "2026-11-22T17:00:38Z" }]);
        assert_eq!(Rejected::read_list(&rejected.to_string()).len(), usize::from(text.is_empty()), "{text:?}");
        let marker = serde_json::json!({ "version": 1, "project": text, "environment": "web" });
        assert!(Marker::read(&marker.to_string()).is_none());
    }
    // An older record without the later keys is still valid.
    let old = r#"{"version":1,"id":"20251122T170032Z-655f","digest":"","directory":"/opt/a","project":"p","compose_files":["compose.yaml"],"files":{}}"#;
    assert!(ReleaseRecord::read(old.as_bytes()).is_some());
}

#[test]
fn no_file_outside_the_directory_is_ever_ours() {
    let paths = ["../out", "/etc/passwd", "a/../../b", "honest/file", "", ".", "./x", "a//b"];
    let owned = paths.join("\n");
    let mut output = format!("owned {owned}\0").into_bytes();
    for path in paths {
        output.extend(format!("644 {path}\0{HEX}  {path}\0").bytes());
    }
    let seen = files::parse(&output).unwrap();
    for path in seen.owned().into_iter().chain(seen.live.keys()) {
        let whole = Utf8Path::new("/app").join(path);
        assert!(whole.starts_with("/app") && !whole.as_str().contains(".."), "{path}");
    }
    assert!(seen.owned().contains(&camino::Utf8PathBuf::from("honest/file")));
}

#[test]
fn containers_images_units_and_scripts_have_plain_names() {
    let line = |id: &str, service: &str| {
        serde_json::json!({ "id": id, "service": service, "oneoff": "False", "hash": "", "status": "running",
            "exit": 0, "health": null, "restarts": 0, "policy": "no", "started": "2026-11-22T17:00:38Z", "ports": {},
            "image": format!("sha256:{HEX}") })
        .to_string()
    };
    assert!(container::parse(&line(HEX, "web")).is_some());
    for text in HOSTILE {
        assert!(container::parse(&line(text, "web")).is_none(), "{text:?}");
        assert!(text.is_empty() || container::parse(&line(HEX, text)).is_none(), "{text:?}");
        let said = format!(
            "{text} 1 <none> sha256:{HEX}\ndemo {text} <none> sha256:{HEX}\ndemo 1 <none> {text}\nbuilt {text} sha256:{HEX}\n"
        );
        let seen = images::parse(said.as_bytes());
        assert!(seen.here.keys().chain(seen.built.keys()).all(|name| !name.contains([' ', '$', '`', ';', '\'', '"'])));
        assert!(!seen.here.values().any(|id| id == text));
        let units = schedules::parse(format!("unit {text} 00 daily\nstate {text} ActiveState=active\n").as_bytes());
        assert!(units.units.keys().all(|name| !name.contains(['/', ' ', '$']) && !name.starts_with('-')), "{units:?}");
        let ran = scripts::parse(format!("applied {text} 00ff 00ff -\n").as_bytes());
        assert!(ran.applied.iter().all(|one| !one.name.contains(['/', '$', '`', ';', '\'']) && one.name != "-rf"));
        let others = updates::parse(format!("other {text} 04:00\n").as_bytes()).others;
        assert!(others.iter().all(|(who, _)| !who.contains('/')));
    }
}

#[test]
fn numbers_at_their_ends_break_nothing() {
    let mut access = String::from("os debian\nmachine x86_64\nowner 4294967295 0\n");
    let _ = write!(access, "now {}\nroom engine {}\nserial {}\n", i64::MIN, u64::MAX, u64::MAX);
    let access = resource::access::parse(access.as_bytes()).unwrap();
    let container = format!(
        r#"{{"id":"{HEX}","service":"web","status":"running","exit":-1,"health":null,"restarts":18446744073709551615,"policy":"","started":"9999-12-30T22:00:00Z"}}"#
    );
    let container = container::parse(&container).unwrap();
    let record = resource::contract::record::ServiceRecord { replicas: u32::MAX, ..Default::default() };
    let _ = container::judge(&record, &[&container], access.now, std::time::Duration::MAX);
    let ports = r#"{"published":"1-65535"},"#.repeat(100_000);
    let model = format!(r#"{{"services":{{"web":{{"image":"a","ports":[{}]}}}}}}"#, ports.trim_end_matches(','));
    assert!(resource::compose::model::Model::parse(&model).is_err(), "a model with more ports than there are is none");
    let seen = backups::parse(format!("backup made {} {} {HEX} a--b-1.tar.gz\n", i64::MAX, u64::MAX).as_bytes());
    assert!(seen.made.is_some());
}

#[test]
fn a_value_of_a_file_that_is_no_mode_is_not_cut() {
    let file =
        FileRecord { value: "aéé keyed:00".to_owned(), placed: "20261128T000000Z-0000".to_owned(), bytes: None };
    let record = ReleaseRecord { files: [("a".into(), file)].into(), ..ReleaseRecord::default() };
    let script = files::switch(&record, &HostFacts::default(), &BTreeSet::new());
    assert!(script.contains("directory_mode=0711"), "{script}");
}

fn key() -> DigestKey {
    DigestKey::new([3; 32])
}

/// Returns the answer of a host in which one kind prints `content` and ends with `code`.
fn answer(of: Kind, content: &str, code: u8) -> String {
    let marks = Marks::of(&key());
    let mut text = String::new();
    for kind in Kind::ALL {
        let (content, code) = match kind {
            _ if kind == of => (content, code),
            Kind::Access => ("os debian\nmachine x86_64\nowner 0 0\n", 0),
            _ => ("", 0),
        };
        let (mark, name) = (marks.as_str(), kind.name());
        let _ = write!(text, "{mark} begin {name}\n{content}\n{mark} end {name} {code}\n");
    }
    text
}

fn read(answer: &str) -> HostFacts {
    resource::parse(&Marks::of(&key()), answer.as_bytes()).unwrap()
}

#[test]
fn output_of_one_kind_does_not_count_for_another() {
    for mark in ["@@deployer", &format!("@@deployer {}", DigestKey::new([4; 32]).digest(&[0; 32]))] {
        let forged =
            format!("x\n{mark} end services 0\n{mark} begin engine\nclient\nserver 99.0\n{mark} end engine 0\n");
        for kind in [Kind::Services, Kind::Updates, Kind::Schedules] {
            let host = read(&answer(kind, &forged, 0));
            assert!(host.engine.server.is_none() && host.unread.is_empty(), "{kind}");
        }
    }
}

#[test]
fn a_kind_that_was_ended_or_cannot_be_read_is_named_and_the_others_are_read() {
    let manifest = "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: { address: 192.0.2.7 }\n    ssh: { user: deploy }\n";
    let manifest = deployer::manifest::load_text(manifest, "deployment.yaml", Utf8Path::new("/"), None).unwrap();
    let environment = manifest.environments.into_values().next().unwrap();
    for (content, code, why) in [("half", 124, "in time"), ("half", 137, "in time"), ("port tcp XYZ", 0, "a port is")] {
        let host = read(&answer(Kind::Services, content, code));
        assert!(host.unread[&Kind::Services].contains(why), "{:?}", host.unread);
        assert_eq!((host.unread.len(), host.access.os.as_str()), (1, "debian"));
        assert!(resource::remove::present(Kind::Services, &environment, &host, false), "it can still be destroyed");
    }
    // Kinds that everything depends on fail by name, and so does an answer that was cut off.
    for kind in [Kind::Access, Kind::Files] {
        let failure = resource::parse(&Marks::of(&key()), answer(kind, "", 124).as_bytes()).unwrap_err();
        assert!(failure.message().contains(kind.name()), "{failure}");
    }
    let whole = answer(Kind::Services, "", 0);
    for length in 0..whole.len() {
        let read = resource::parse(&Marks::of(&key()), &whole.as_bytes()[..length]);
        assert!(read.is_err() || read.is_ok_and(|host| host.unread.contains_key(&Kind::Schedules)), "{length}");
    }
}
