//! Manifests as files: each case is read as `deployer check` reads it, and the result is compared with the text next to
//! the case. Needs no host.
#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

mod budgets;
mod cases;
mod edits;
mod laws;
mod schema;

use camino::Utf8Path;
use deployer::manifest::edit::{Entry, Place};
use deployer::manifest::{self, Manifest};
use deployer::model::failure::Failure;
use std::fmt::Write;
use std::fs;

const HOME: &str = "/home/someone";

/// Returns the files of a folder of cases with their names, in order.
fn cases(folder: &str) -> Vec<(String, String)> {
    let root = format!("{}/tests/cases/manifest/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = (fs::read_dir(&root).unwrap())
        .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".yaml").map(Into::into))
        .collect();
    names.sort();
    names.into_iter().map(|name| (format!("{root}/{name}"), name)).collect()
}

/// Returns the expected text next to a case; `UPDATE_CASES=1` writes it.
#[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
fn expect(path: &str, found: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_CASES").is_some() {
        fs::write(path, found).unwrap();
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    if wanted == found { Ok(()) } else { Err(format!("{path}\n--- expected\n{wanted}\n--- found\n{found}\n")) }
}

fn rendered(failures: &[Failure]) -> String {
    let root = format!("{}/tests/cases/manifest/", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for failure in failures {
        let place = failure.location.as_ref().map_or("-".to_owned(), |at| {
            let shown = at.span.clone().zip(at.source.as_ref()).and_then(|(span, source)| source.get(span));
            let first = shown.and_then(|shown| shown.lines().next()).unwrap_or_default();
            format!("{}:{} [{first}]", at.line, at.column)
        });
        let environment = failure.environment.as_deref().unwrap_or("-");
        writeln!(text, "{place} {} {environment}", failure.reason.code()).unwrap();
        writeln!(text, "  {}\n  {}", failure.message(), failure.advice()).unwrap();
    }
    text.replace(&root, "")
}

fn parse(text: &str) -> Result<Manifest, Vec<Failure>> {
    manifest::parse(text, "deployment.yaml", Utf8Path::new("/base"), Some(Utf8Path::new(HOME)))
}

fn entry() -> Entry {
    Entry {
        remarks: Vec::new(),
        place: Place::Registered("2001:db8::7".into()),
        port: Some(2222),
        user: Some("deploy".into()),
        identity_file: Some("~/.ssh/it's: \"mine\" #1".into()),
        host_key: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJhFwGYlbQ1QGAVYdJpRtUoSvIGOvzD8VFUBGJZAjxRk".into()],
        application: Some(serde_json::json!({ "compose": { "directory": "./app" } })),
    }
}
