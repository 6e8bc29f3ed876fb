//! An honest application renders a token into a file that turns out to be wrong. The error message quotes that file and
//! hides the token.

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

/// Says whether something stands in the token's place, as text or as Markdown.
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
