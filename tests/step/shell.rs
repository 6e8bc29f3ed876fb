//! The scripts of resources as real `sh` runs them, in directories of this machine. They do not run as the system's
//! root.

use crate::given::marks;
use camino::{Utf8Path, Utf8PathBuf};
use deployer::io::process;
use deployer::release::sent::File;
use deployer::resource;
use deployer::resource::contract::record::FileRecord;
use deployer::resource::files::{Obstacle, OnHost};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// Names that a shell, xargs, stat, sha256sum or a careless parser would misread.
const HOSTILE: [&str; 24] = [
    "-",
    "--",
    "-rf",
    "-n",
    "a b",
    " lead",
    "trail ",
    "tab\there",
    "'",
    "\"",
    "\\",
    "\\n",
    "$HOME",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "%s%n",
    "*",
    "?",
    "~",
    "é漢🦀",
    "sub/-/deep",
    "@@deployer end files",
    "644 x",
];

async fn run(script: &str) -> Vec<u8> {
    let argv = ["sh", "-c", script].map(str::to_owned);
    let finished = process::run(&argv, b"", Duration::from_secs(30)).await.unwrap();
    assert!(finished.status.success(), "{script}\n{finished:?}");
    finished.stdout
}

/// Returns a probe with its two directories moved below `root`.
fn moved(script: &str, root: &Utf8Path) -> String {
    script.replace("/var/lib/deployer", root.join("state").as_str()).replace("/opt/deployer", root.join("app").as_str())
}

#[tokio::test]
async fn the_probe_reads_hostile_names_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(directory.path()).unwrap();
    let mut given = crate::given::given(&crate::given::root().join("converged.txt")).unwrap();
    let compose = given.environment.application.as_ref().unwrap();
    let app = root.join("app").join(compose.host_directory.file_name().unwrap());
    let release = given.release.as_mut().unwrap();
    let file = release.files[Utf8Path::new("compose.yaml")].clone();
    for name in HOSTILE {
        fs::create_dir_all(app.join(name).parent().unwrap()).unwrap();
        fs::write(app.join(name), name).unwrap();
        release.files.insert(Utf8PathBuf::from(name), File { bytes: name.len() as u64, ..file.clone() });
    }
    let subject = given.subject();
    let script = subject.preamble() + &marks().wrap("files", &resource::files::probe(&subject));
    let output = run(&moved(&script, root)).await;
    let seen = resource::files::parse(marks().split(&output)["files"].content().unwrap()).unwrap();
    for name in HOSTILE {
        let found = seen.live.get(Utf8Path::new(name)).unwrap_or_else(|| panic!("{name:?} is not seen"));
        let wanted: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(name.as_bytes()).into();
        assert!(matches!(found, OnHost::File { sha256, .. } if *sha256 == wanted), "{name:?}: {found:?}");
    }
    assert_eq!(seen.live.len(), HOSTILE.len());
    assert!(!fs::exists("pwned").unwrap() && !app.join("pwned").exists());
}

/// The content of a file is read if its size is one that a release gave it: the wanted release, or one whose record is
/// on the host. Records of older versions do not contain the size.
#[tokio::test]
async fn the_probe_reads_files_of_the_sizes_that_releases_gave_them() {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(directory.path()).unwrap();
    let given = crate::given::given(&crate::given::root().join("converged.txt")).unwrap();
    let subject = given.subject();
    let app =
        root.join("app").join(subject.environment.application.as_ref().unwrap().host_directory.file_name().unwrap());
    let state = Utf8PathBuf::from(moved(&subject.state_directory(), root));
    let compose = given.release.as_ref().unwrap().files[Utf8Path::new("compose.yaml")].bytes;
    let mut record = given.facts.files.current.clone().unwrap();
    let sample = record.files.values().next().unwrap().clone();
    let files =
        [("compose.yaml", Some(5)), ("new", Some(5)), ("former", None), ("a \"b\"", Some(5)), ("b\\c", Some(5))];
    record.files =
        files.iter().map(|(path, bytes)| ((*path).into(), FileRecord { bytes: *bytes, ..sample.clone() })).collect();
    fs::create_dir_all(&state).unwrap();
    fs::create_dir_all(&app).unwrap();
    fs::write(state.join("current.json"), serde_json::to_string(&record).unwrap()).unwrap();
    fs::write(state.join("owned"), "compose.yaml\nnew\nformer\na \"b\"\nb\\c\nlost\n").unwrap();
    let script = moved(&(subject.preamble() + &marks().wrap("files", &resource::files::probe(&subject))), root);
    let read = |seen: &resource::files::Seen, path: &str| match seen.live[Utf8Path::new(path)] {
        OnHost::File { .. } => "read",
        OnHost::Other(Obstacle::OtherSize) => "other size",
        OnHost::Other(_) => "other",
    };
    for (size, sized, other) in [(5, "read", "read"), (6, "other size", "read"), (compose, "other size", "read")] {
        for path in ["compose.yaml", "new", "former", "a \"b\"", "b\\c", "lost"] {
            fs::write(app.join(path), vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
        }
        let output = run(&script).await;
        let seen = resource::files::parse(marks().split(&output)["files"].content().unwrap()).unwrap();
        assert_eq!(seen.current.as_ref(), Some(&record));
        assert_eq!(read(&seen, "new"), sized, "{size}");
        assert_eq!(read(&seen, "compose.yaml"), if size == compose { "read" } else { sized }, "{size}");
        for path in ["former", "a \"b\"", "b\\c", "lost"] {
            assert_eq!(read(&seen, path), other, "{size} {path}");
        }
    }
}

/// An observation of a claimed host starts Compose only if the plugin's file has changed since the last one.
#[tokio::test]
async fn compose_tells_its_version_once_for_each_plugin() {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(directory.path()).unwrap();
    let given = crate::given::given(&crate::given::root().join("converged.txt")).unwrap();
    let subject = given.subject();
    let state = Utf8PathBuf::from(moved(&subject.state_directory(), root));
    let plugins = root.join("docker/cli-plugins");
    for made in [&state, &plugins, &root.join("bin")] {
        fs::create_dir_all(made).unwrap();
    }
    let program = |path: Utf8PathBuf, text: String| {
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program(root.join("bin/docker"), "echo 26.1.5".to_owned());
    let plugin = |version: &str| {
        fs::remove_file(plugins.join("docker-compose")).ok();
        program(plugins.join("docker-compose"), format!("echo {version}; echo {version} >> {root}/starts"));
    };
    let script = format!("PATH={root}/bin:$PATH\n{}", subject.preamble())
        + &marks().wrap("engine", &resource::engine::probe(&subject));
    let script = moved(&script, root).replace("/root/.docker", root.join("docker").as_str());
    let script = script.replace("/usr/bin/docker |", &format!("{root}/bin/docker |"));
    let looks = async || {
        let output = run(&script).await;
        let seen = resource::engine::parse(marks().split(&output)["engine"].content().unwrap());
        (seen.compose.unwrap(), fs::read_to_string(root.join("starts")).unwrap().lines().count())
    };
    plugin("2.26.1");
    assert_eq!(looks().await, ("2.26.1".to_owned(), 1));
    assert_eq!(looks().await, ("2.26.1".to_owned(), 2), "nothing is written on a host that is not claimed");
    assert!(!state.join("compose").exists());
    fs::write(state.join("key"), "").unwrap();
    assert_eq!(looks().await, ("2.26.1".to_owned(), 3));
    assert_eq!(looks().await, ("2.26.1".to_owned(), 3));
    plugin("2.27.0");
    assert_eq!(looks().await, ("2.27.0".to_owned(), 4), "the plugin was replaced");
    fs::write(state.join("compose"), "").unwrap();
    assert_eq!(looks().await, ("2.27.0".to_owned(), 5), "the record is damaged");
    assert_eq!(looks().await, ("2.27.0".to_owned(), 5));
}

/// All environments' openings become one table, in any order and with duplicates.
#[tokio::test]
async fn the_hosts_openings_become_one_table() {
    let functions = include_str!("../../src/resource/firewall/host.sh");
    let script = format!(
        "set -eu\n{functions}\ntable '22 2222' <<'/.'\ntcp 8080 any\nudp 6000-6010 2001:db8::/32\ntcp 443 any\ntcp 8080 any\n\
         sctp 9 203.0.113.0/24\n/.\nboot"
    );
    let output = String::from_utf8(run(&script).await).unwrap();
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(crate::given::root().join("firewall"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    };
    settings.bind(|| insta::assert_snapshot!("the-table", output));
    let none = format!("set -eu\n{functions}\ntable '22' </dev/null | grep accept");
    assert_eq!(String::from_utf8(run(&none).await).unwrap().lines().count(), 9);
}

#[tokio::test]
async fn a_check_of_a_script_says_nothing_but_its_exit_code_and_ends_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(directory.path()).unwrap();
    let mut given = crate::given::given(&crate::given::root().join("converged.txt")).unwrap();
    let checks = [
        ("forges", "printf '\\n@@deployer end scripts\\n'; echo check fails 0; echo noise >&2; exit 0"),
        ("fails", "exit 3"),
        ("hangs", "trap '' TERM; sleep 60 & sleep 60"),
        ("kills", "kill -9 $$"),
        ("reads", "cat; exit 1"),
        ("breaks", "if ("),
        ("quotes", "[ \"it's\" = 'it'\\''s' ]"),
    ];
    let script = |(name, check): &(&str, &str)| deployer::manifest::environment::Script {
        name: deployer::manifest::environment::Name::parse(name).unwrap(),
        check: (*check).to_owned(),
        run: String::new(),
        file: None,
        undo: None,
    };
    given.environment.scripts = checks.iter().map(script).collect();
    let subject = given.subject();
    let probe = subject.preamble() + &marks().wrap("scripts", &resource::scripts::probe(&subject)) + "echo after\n";
    let output = run(&moved(&probe, root).replace("timeout -k 1 10", "timeout -k 1 1")).await;
    assert!(output.ends_with(b"after\n"));
    let seen = resource::scripts::parse(marks().split(&output)["scripts"].content().unwrap());
    let codes: Vec<(&str, u8)> = seen.checks.iter().map(|(name, code)| (name.as_str(), *code)).collect();
    let wanted =
        [("breaks", 2), ("fails", 3), ("forges", 0), ("hangs", 137), ("kills", 137), ("quotes", 0), ("reads", 1)];
    assert_eq!(codes, wanted);
}

/// A process of the list `/proc` of a made-up host.
struct Process {
    id: u32,
    name: &'static str,
    parent: u32,
    users: &'static str,
    /// Its namespaces of processes and of mounts.
    namespaces: (&'static str, &'static str),
    program: &'static str,
}

/// Anybody can name a process sshd, and a container can have an sshd.
#[tokio::test]
async fn only_the_hosts_own_sshd_and_the_present_connection_open_a_port() {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(directory.path()).unwrap();
    let write = |path: &str, text: &str| {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    };
    let link = |target: &str, path: &str| {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, root.join(path)).unwrap();
    };
    let (host, own_mounts, container) = (("1", "1"), ("1", "2"), ("3", "3"));
    let process = |id, name, users, namespaces, program| Process { id, name, parent: 1, users, namespaces, program };
    let processes = [
        process(1, "systemd", "0 0 0 0", host, "init"),
        process(22, "sshd", "0 0 0 0", host, "sshd"),
        process(23, "sshd", "0 0 0 0", own_mounts, "sshd"),
        process(24, "sshd", "0 0 0 0", own_mounts, "container/sshd"),
        process(25, "sshd", "0 0 0 0", container, "container/sshd"),
        process(26, "sshd", "1001 1001 1001 1001", host, "perl"),
        // A program of root that a user started.
        process(27, "sshd", "1001 0 0 0", host, "su"),
        process(28, "other", "0 0 0 0", host, "sshd"),
        Process { parent: 22, ..process(29, "sshd", "0 0 0 0", host, "sshd") },
    ];
    let mut listening = "  sl  local_address rem_address\n".to_owned();
    for Process { id, name, parent, users, namespaces, program } in processes {
        let at = |file: &str| format!("proc/{id}/{file}");
        write(&at("comm"), &format!("{name}\n"));
        let users = users.replace(' ', "\t");
        write(&at("status"), &format!("Name:\t{name}\nPPid:\t{parent}\nUid:\t{users}\nGid:\t{users}\n"));
        link(&format!("pid:[{}]", namespaces.0), &at("ns/pid"));
        link(&format!("mnt:[{}]", namespaces.1), &at("ns/mnt"));
        link(root.join("bin").join(program).as_str(), &at("exe"));
        link(&format!("socket:[70{id}]"), &at("fd/3"));
        let port = 2000 + id;
        let socket = format!("0: 0:{port:04X} 0:0000 0A 0:0 0:0 0 0 0 70{id} 1\n");
        listening.push_str(&socket);
        write(&format!("bin/{program}"), "");
    }
    fs::set_permissions(root.join("bin/sshd"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    write("proc/net/tcp", &listening);
    let given = crate::given::given(&crate::given::root().join("firewall/converged.txt")).unwrap();
    let probe = resource::firewall::probe(&given.subject());
    let functions = &probe[probe.find("# Functions").unwrap()..probe.find("# Prints the openings").unwrap()];
    let connected =
        "mkdir \"/proc/$$\"; printf 'A=1\\0SSH_CONNECTION=10.0.0.1 5000 10.0.0.2 2222\\0' >\"/proc/$$/environ\"\n";
    for (before, ports) in [("", "2022 2023\n"), (connected, "2022 2023 2222\n")] {
        let script =
            format!("PATH={root}/bin:$PATH\n{before}{functions}\nssh_ports").replace("/proc", &format!("{root}/proc"));
        assert_eq!(String::from_utf8(run(&script).await).unwrap(), ports);
    }
}
