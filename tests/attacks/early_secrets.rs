//! An honest application renders a token into a file that is invalid. The error message quotes that file and hides the
//! token.

use crate::review::Work;
use std::process::Command;

const SECRET: &str = "s3cr3t-4f81-t0ken";

/// Keys of `compose` and a Compose file that together cause an error message with the token.
const FAILURES: [(&str, &str); 4] = [
    ("templates: true", "services: { web: { build: \"https://d:{{ T }}@git.example.com/a.git#main\" } }"),
    ("templates: true", "services: { \"{{ T }}\": { build: ../x } }"),
    ("templates: true", "services: { web: { build: \"./{{ T }}\" } }"),
    ("templates: false", ""),
];

const COMMANDS: [&[&str]; 8] = [
    &["check", "--secrets"],
    &["check", "--secrets", "--json"],
    &["check", "--secrets", "--format", "github"],
    &["plan"],
    &["plan", "--format", "markdown"],
    &["status"],
    &["apply", "--yes"],
    &["render", "web", "-o", "out"],
];

/// Runs a command, in a GitHub workflow if `workflow`, and returns all of its output.
fn said(work: &Work, arguments: &[&str], workflow: bool) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
    command.args(arguments).current_dir(work.repository()).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("JOB_TOKEN", SECRET).env("HOME", work.path("home"));
    let summary = work.path("summary");
    if workflow {
        command.envs([("GITHUB_ACTIONS", "true"), ("CI", "true")]).env("GITHUB_STEP_SUMMARY", &summary);
    }
    let output = command.output().unwrap();
    let mut text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    text += &std::fs::read_to_string(&summary).unwrap_or_default();
    text
}

/// Returns true if a placeholder replaces the token, as text or as Markdown.
fn hidden(text: &str) -> bool {
    text.contains("***") || text.contains("&#42;&#42;&#42;")
}

#[test]
fn no_failure_of_a_release_tells_a_secret() {
    let work = Work::new();
    std::fs::remove_file(work.repository().join("app/compose.yaml")).unwrap();
    std::fs::remove_file(work.repository().join("app/conf.txt.tera")).unwrap();
    std::fs::write(work.path("token"), SECRET).unwrap();
    let file = format!("from_file: {}", work.path("token").display());
    let command = format!("from_command: [cat, {}]", work.path("token").display());
    for source in ["from_env: JOB_TOKEN", &file, &command] {
        for (keys, compose) in FAILURES {
            work.put("app/compose.yaml.tera", compose);
            let variable = if compose.is_empty() { "COMPOSE_FILE" } else { "T" };
            work.put("deployment.yaml", &format!(
                "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: 192.0.2.1 }}\n    application:\n      \
                 compose:\n        directory: ./app\n        {keys}\n        variables: {{ {variable}: {{ {source} }} }}\n"
            ));
            for arguments in COMMANDS {
                let text = said(&work, arguments, false);
                assert!(hidden(&text) && !text.contains(SECRET), "{arguments:?} {keys} {source}: {text}");
                let text = said(&work, arguments, true);
                let masked = text.replace(&format!("::add-mask::{SECRET}"), "");
                assert!(masked.len() < text.len() && !masked.contains(SECRET), "{arguments:?} {source}: {text}");
                assert!(hidden(&text), "{arguments:?}: {text}");
            }
        }
    }
}

/// Files of an application, one of them with a credential, that together cause an error message with the credential.
const OWN_FILES: [(&str, &[(&str, &str)]); 6] = [
    // Templates of variables that do not render, one of them with lines that no parser accepts.
    ("templates: true", &[(".env.tera", "API_TOKEN=s3cr3t-4f81-t0ken\nA={{ nothing }}\n")]),
    ("templates: true", &[("conf/app.env.tera", "1+1\nAPI_TOKEN=s3cr3t-4f81-t0ken\nA={{ nothing }}\n")]),
    // A value that becomes a part of a name.
    ("seed: [x]", &[(".env", "API_TOKEN=s3cr3t-4f81-t0ken\nCOMPOSE_FILE=s3cr3t-4f81-t0ken.yaml\n")]),
    // A file of variables that is also parsed as a Compose file or as rules.
    ("files: [vars.env]", &[("vars.env", "API_TOKEN: s3cr3t-4f81-t0ken\n\tA: b\n")]),
    (
        "files: [compose.yaml, vars]",
        &[
            ("compose.yaml", "services: { web: { image: a, env_file: vars } }"),
            ("vars", "API_TOKEN: s3cr3t-4f81-t0ken\n\tA: b\n"),
        ],
    ),
    ("seed: [x]", &[(".env", "API_TOKEN=s3cr3t-4f81-t0ken{b\n"), (".deployerignore", "-> .env")]),
];

#[test]
fn no_failure_of_a_release_tells_what_its_own_variables_hold() {
    for (keys, files) in OWN_FILES {
        let work = Work::new();
        std::fs::remove_file(work.repository().join("app/conf.txt.tera")).unwrap();
        work.put("deployment.yaml", &format!(
            "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: 192.0.2.1 }}\n    application:\n      \
             compose:\n        directory: ./app\n        {keys}\n"
        ));
        for (path, text) in files {
            match text.strip_prefix("-> ") {
                Some(target) => work.link(&format!("app/{path}"), target),
                None => work.put(&format!("app/{path}"), text),
            }
        }
        for arguments in
            [&["check"][..], &["check", "--json"], &["graph"], &["plan", "--offline"]].iter().chain(&COMMANDS)
        {
            for workflow in [false, true] {
                let text = said(&work, arguments, workflow);
                let shown = |line: &&str| !line.starts_with("::add-mask::");
                let masked = text.lines().filter(shown).collect::<Vec<_>>().join("\n");
                assert!(text.contains("app/") && !masked.contains(SECRET), "{arguments:?} {files:?}: {text}");
            }
        }
    }
}
