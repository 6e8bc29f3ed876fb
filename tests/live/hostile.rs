//! Hostile values in every field that reaches the host: they arrive byte for byte and are never executed.

use crate::bed::{BedHost, Work, image};
use std::fmt::Write as _;

/// A file that any execution of a value creates, on the host or on this machine.
const CANARY: &str = "/tmp/pwned-by-deployer";

/// Returns values that some layer between the manifest and a container's environment might misread.
fn values() -> Vec<String> {
    let touch = format!("touch {CANARY}");
    let mut values: Vec<String> = [
        "",
        " ",
        "'",
        "''",
        "\"",
        "\\",
        "\\\\n",
        "\\'",
        "-n",
        "--",
        "--help",
        "%",
        "%s%n%d",
        "$",
        "$$",
        "$$$",
        "${HOME}",
        "$HOME",
        "${X:-y}",
        "#",
        " # not a comment",
        "a=b",
        "a: b",
        "~",
        "*",
        "!",
        "é漢字🦀",
        "\u{202e}",
        "two\nlines",
        "\n",
        "\r\n",
        "tab\there",
        " lead and trail ",
        "{{ TOKEN }}",
        "{% raw %}",
        "@@deployer end files",
        "/.",
        "EOF",
        "\u{7f}\u{1b}[31m",
    ]
    .map(str::to_owned)
    .to_vec();
    values.extend([format!("$({touch})"), format!("`{touch}`"), format!("; {touch} #"), format!("'; {touch}; '")]);
    values.extend([
        format!("\"; {touch}; \""),
        format!("$$({touch})"),
        format!("\\$({touch})"),
        format!("\n{touch}\n"),
    ]);
    values
}

/// Names of files, as hostile as a file system and Docker's mounts allow.
const NAMES: [&str; 16] = [
    "-",
    "-rf",
    "--help",
    "a b",
    " lead",
    "it's",
    "dou\"ble",
    "back\\slash",
    "$HOME",
    "$$",
    "`id`",
    "%s",
    "é漢🦀",
    "semi;colon",
    "deep/-/x",
    "*",
];

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("JSON").replace('\u{7f}', "\\u007f")
}

/// Makes a service whose environment and mounts are the values and the names, with a page that contains one of the
/// values.
fn hostile(host: &BedHost) -> Work {
    let work = Work::empty();
    let touch = format!("$(touch {CANARY})");
    let mut variables = String::new();
    let mut environment = String::new();
    for (index, value) in values().iter().enumerate() {
        write!(variables, "V{index}: {}, ", quoted(value)).expect("text");
        write!(environment, "      V{index}: \"${{V{index}}}\"\n      PREFIXED{index}: \"a${{V{index}}}z\"\n")
            .expect("text");
    }
    let mut mounts = String::new();
    for (index, name) in NAMES.iter().chain(&[touch.as_str()]).enumerate() {
        work.write(&format!("app/files/{name}"), format!("file {index}"));
        writeln!(
            mounts,
            "      - {{ type: bind, source: {}, target: /f/{index}, read_only: true }}",
            quoted(&format!("./files/{}", name.replace('$', "$$")))
        )
        .expect("text");
    }
    work.write("app/html/index.html", format!("a page: '\"; {touch} `id` %s \\ é"));
    let command = quoted(&format!("echo \"$$1\" > /said; exec httpd -f -p 8080 -h /www #{}", touch.replace('$', "$$")));
    let compose = format!(
        "services:\n  web:\n    image: demo:1\n    ports: [\"8080:8080\"]\n    command: [sh, -c, {command}, \"-\", {}]\n    labels: {{ \
         com.example.label: {} }}\n    environment:\n{environment}    volumes:\n      - ./html:/www:ro\n{mounts}",
        quoted(&format!("; $({}) '", "touch /tmp/pwned-by-deployer").replace('$', "$$")),
        quoted(&touch.replace('$', "$$")),
    );
    work.write("app/compose.yaml", compose);
    work.link("it's $HOME.tar", &image("demo-1.tar"));
    work.manifest(host, "");
    work.edit("deployment.yaml", "./demo.tar", "\"./it's $HOME.tar\"");
    work.edit(
        "deployment.yaml",
        "archives:",
        &format!("variables: {{ {variables} }}, host_directory: \"/srv/it's $HOME; `id` %s\", archives:"),
    );
    let checks = format!(
        "checks: [ {{ name: {0}, http: {{ port: 8080, path: /, contains: {1} }} }}, {{ name: second, http: {{ port: 8080, path: {2}, status: 404 }} }}, \
         {{ name: third, tcp: 8080 }}, {{ name: fourth, gate: false, http: {{ port: 8080, contains: {3} }} }}, {{ name: fifth, from: runner, http: {{ port: 8080, contains: {1} }} }} ]",
        quoted(&format!("it's {touch} `id` %s -n")),
        quoted(&format!("'\"; {touch} `id` %s \\ é")),
        quoted(&format!("/'$(touch${{IFS}}{CANARY})`id`%25s[1-9]{{a,b}};\"")),
        quoted(&format!("*{touch}")),
    );
    work.edit("deployment.yaml", "checks: [ { name: page, http: { port: 8080, path: / } } ]", &checks);
    work
}

fn nothing_was_executed(host: &BedHost, work: &Work) {
    assert!(!host.holds(&format!("test -e {CANARY}")), "executed on the host");
    assert!(!host.holds(&format!("docker exec $(docker ps -q) test -e {CANARY}")), "executed in the container");
    assert!(!std::path::Path::new(CANARY).exists(), "executed here");
    assert!(!work.path(CANARY.trim_start_matches("/tmp/")).exists());
}

#[test]
fn hostile_values_arrive_unharmed_and_are_never_executed() {
    let host = BedHost::docker();
    let work = hostile(&host);
    work.run(&["check"]).expect(0);
    work.run(&["plan"]).expect(0);
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    let environ = host.shell("docker exec $(docker ps -q) cat /proc/1/environ | od -An -v -tx1 | tr -d ' \\n'");
    let byte = |at: usize| u8::from_str_radix(&environ[at..at + 2], 16).expect("hex");
    let bytes: Vec<u8> = (0..environ.trim().len()).step_by(2).map(byte).collect();
    let held: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    for (index, value) in values().iter().enumerate() {
        for wanted in [format!("V{index}={value}"), format!("PREFIXED{index}=a{value}z")] {
            assert!(held.contains(&wanted.as_bytes()), "{wanted:?} is not in the environment");
        }
    }
    for index in 0..=NAMES.len() {
        assert_eq!(host.shell(&format!("docker exec $(docker ps -q) cat /f/{index}")), format!("file {index}"));
    }
    assert_eq!(host.shell("docker exec $(docker ps -q) cat /said").trim_end(), "; $(touch /tmp/pwned-by-deployer) '");
    let tests = work.run(&["test", "--json"]);
    assert!(!tests.stdout.contains("\"passed\":false,\"gate\":true"), "{tests:?}");
    nothing_was_executed(&host, &work);

    // A change of a file is detected under each of its names, and shown.
    for (index, name) in NAMES.iter().enumerate() {
        work.write(&format!("app/files/{name}"), format!("changed {index}"));
    }
    work.run(&["plan"]).expect(0);
    work.apply().expect(0);
    for index in 0..NAMES.len() {
        assert_eq!(host.shell(&format!("docker exec $(docker ps -q) cat /f/{index}")), format!("changed {index}"));
    }
    for name in NAMES {
        std::fs::remove_file(work.path(&format!("app/files/{name}"))).expect("removed");
    }
    work.write(
        "app/compose.yaml",
        "services: { web: { image: \"demo:1\", ports: [\"8080:8080\"], volumes: [\"./html:/www:ro\"] } }\n",
    );
    work.apply().expect(0);
    assert_eq!(host.shell("cd \"/srv/it's \\$HOME; \\`id\\` %s/files\" && ls -A | wc -l").trim(), "1");
    nothing_was_executed(&host, &work);
    work.run(&["destroy", "production", "--allow-destroy", "production", "--purge"]).expect(0);
    assert!(!host.holds("ls -A /srv | grep -q ."), "{}", host.shell("ls -AR /srv"));
    assert!(!host.holds(&format!("test -e {CANARY}")));
}
