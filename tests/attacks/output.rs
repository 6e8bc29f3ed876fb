//! Text of a pull request, an argument or a file tries to control the terminal, or to become a command of the workflow
//! that runs deployer. Every case runs the real binary in every output format.

#![expect(clippy::disallowed_methods, reason = "tests start programs and read the environment themselves")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// Lines of an attacker, marked by `forged`.
const HOSTILE: &str = "\r::set-output name=forged::1\r\n::error::forged\n  ::warning::forged\n\u{a0}\u{2028}::notice::forged\n\
                       ##[set-env name=forged]1 ##vso[task.forged]2\nsection_start:1:forged\r\u{1b}[0K\n\
                       \u{1b}]0;forged\u{7}\u{1b}[2J\u{9b}2J\u{202e}forged\u{61c}\u{200b}\n```\n</details> @forged\n";

fn deployer(folder: &Path, arguments: &[&str], workflow: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
    command.args(arguments).current_dir(folder).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    if workflow {
        command
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", folder.join("summary"))
            .env("GITHUB_OUTPUT", folder.join("output"));
    }
    command.output().expect("it starts")
}

/// Returns the lines that a workflow runner would take as commands and the sequences that act on a terminal, by the
/// rules of both.
fn dangers(text: &str) -> Vec<String> {
    taken(text).into_iter().chain(acting(text)).collect()
}

fn taken(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.split(['\n', '\r']).filter(|line| line.contains("forged")) {
        let begin = line.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
        // An annotation of deployer that quotes the attacker is deployer's text.
        let ours = ["error", "warning", "notice", "group"].iter().any(|name| {
            let rest = begin.strip_prefix("::").and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with(' ') || rest.starts_with("::") && !rest.starts_with("::forged"))
        });
        if begin.starts_with("::") && !ours || line.contains("##[") || line.contains("##vso[") {
            found.push(line.to_owned());
        }
    }
    found
}

fn acting(text: &str) -> Vec<String> {
    let acts = |c: &char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(acts).map(|c| format!("{c:?}")).collect()
}

/// Asserts that nothing from the attacker takes effect, and that the output contains `names`.
fn assert_harmless(folder: &Path, arguments: &[&str], names: &str) {
    for workflow in [true, false] {
        let output = deployer(folder, arguments, workflow);
        let mut all = String::new();
        for (stream, bytes) in [("standard output", &output.stdout), ("standard error", &output.stderr)] {
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            // Outside of workflows, documents are for programs, which parse their format.
            let found = match arguments[0] {
                _ if workflow => dangers(text),
                "show" => text.chars().filter(|c| c.is_control() && *c != '\n').map(String::from).collect(),
                _ => acting(text),
            };
            assert_eq!(found, Vec::<String>::new(), "{arguments:?}, {stream}, workflow {workflow}:\n{text}");
            all += text;
        }
        assert!(all.contains(names), "{arguments:?} says nothing of {names}:\n{all}");
        if workflow {
            let outputs = fs::read_to_string(folder.join("output")).unwrap_or_default();
            let ours = |line: &str| ["outcome=", "exit-code=", "changes="].iter().any(|name| line.starts_with(name));
            assert!(outputs.lines().all(ours), "{outputs}");
            let summary = fs::read_to_string(folder.join("summary")).unwrap_or_default();
            assert_eq!(acting(&summary), Vec::<String>::new(), "{summary}");
        }
    }
}

#[test]
fn arguments_are_text() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &[HOSTILE][..],
        &["plan", "--forged", HOSTILE],
        &["plan", "-f", HOSTILE],
        &["apply", "--parallel", HOSTILE],
        &["show", &format!("./{HOSTILE}")],
        &["plan", "--color", "always", "-f", HOSTILE, "--json"],
        &["check", "--format", "github", "-f", HOSTILE],
        &["plan", "--format", "markdown", "-f", HOSTILE],
        &["test", "--format", "junit", "-f", HOSTILE],
    ] {
        assert_harmless(folder.path(), arguments, "forged");
    }
}

/// Returns any text as a YAML scalar that reads back unchanged.
fn quoted(text: &str) -> String {
    let escaped = |c: char| {
        if c.is_ascii_graphic() && !"\"\\".contains(c) || c == ' ' {
            c.to_string()
        } else {
            format!("\\u{:04x}", u32::from(c))
        }
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// Makes a checkout whose last commit puts the attacker's texts everywhere that a manifest and an application can hold
/// text.
fn pull_request(folder: &Path) {
    let git = |arguments: &[&str]| {
        let with = [&["-c", "user.name=a", "-c", "user.email=a@b.c"][..], arguments].concat();
        let output = Command::new("git").args(with).current_dir(folder).output().expect("git starts");
        assert!(output.status.success(), "{output:?}");
    };
    let manifest = |text: &str| {
        let quoted = quoted(text);
        let manifest = format!(
            "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: a.example }}\n    application:\n      \
             compose:\n        directory: ./app\n        variables:\n          GREETING: {quoted}\n    checks:\n      \
             - {{ name: page, http: {{ port: 8080, path: /, contains: {quoted} }} }}\n"
        );
        fs::write(folder.join("deployment.yaml"), manifest).expect("written");
    };
    fs::create_dir(folder.join("app")).expect("a folder");
    let compose = "services:\n  web:\n    image: demo:1\n    volumes: [\"./motd:/motd\"]\n";
    fs::write(folder.join("app/compose.yaml"), compose).expect("written");
    fs::write(folder.join("app/motd"), format!("{HOSTILE}honest\n")).expect("written");
    fs::set_permissions(folder.join("app/motd"), fs::Permissions::from_mode(0o644)).expect("set");
    manifest("honest");
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    git(&["tag", "one"]);
    fs::write(folder.join("app/motd"), format!("{HOSTILE}changed\n{HOSTILE}")).expect("written");
    manifest(HOSTILE);
    git(&["add", "."]);
    git(&["commit", "-qm", "two"]);
}

#[test]
fn a_pull_request_is_text_in_every_form() {
    let folder = tempfile::tempdir().expect("a folder");
    pull_request(folder.path());
    let plan = |more: &[&'static str]| [&["plan", "--against", "one"], more].concat();
    for more in [&[][..], &["-v"], &["--json"], &["--format", "markdown"], &["--format", "github"]] {
        assert_harmless(folder.path(), &plan(more), "web");
    }
    let shown = deployer(folder.path(), &plan(&[]), true);
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("+changed") && text.contains("forged"), "the change is still shown:\n{text}");
    for arguments in [
        &["check"][..],
        &["check", "--format", "github"],
        &["check", "--json"],
        &["show", "web"],
        &["list"],
        &["graph"],
        &["graph", "--format", "mermaid"],
        &["graph", "--format", "svg"],
        &["inventory"],
    ] {
        assert_harmless(folder.path(), arguments, "web");
    }
}

#[test]
fn a_broken_manifest_is_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let quoted = quoted(HOSTILE);
    for text in [
        format!("version: 1\nproject: shop\n{quoted}: 1\n"),
        format!("version: 1\nproject: {quoted}\n"),
        format!("version: 1\nproject: shop\nenvironments:\n  {quoted}:\n    registered: {{ address: a }}\n"),
        format!("version: 1\nproject: shop\nenvironments:\n  web:\n    registred: {quoted}\n"),
        format!("version: 1\nproject: shop\n# {}\nenvironments: [\n", HOSTILE.replace(['\r', '\n'], " ")),
        format!("version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: {quoted} }}\n"),
        HOSTILE.to_owned(),
    ] {
        fs::write(folder.path().join("deployment.yaml"), text).expect("written");
        for arguments in
            [&["check"][..], &["check", "--json"], &["check", "--format", "github"], &["plan", "--offline"]]
        {
            assert_harmless(folder.path(), arguments, "deployment.yaml");
        }
    }
}
