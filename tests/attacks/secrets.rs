//! A service or a host prints a secret in another form than the given one. Deployer's output goes to the job's log,
//! which others read.

use deployer::manifest;
use deployer::reconcile::prepare;
use deployer::release::sent::Content;
use secrecy::ExposeSecret as _;
use std::fs;

/// A password that every encoding changes.
const PASSWORD: &str = "p@ss:w/ord #%\"$'é";
const TOKEN: &str = "to\"k$en&x=1 + more";

#[tokio::test]
async fn every_form_of_a_trackers_secrets_is_hidden() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("password"), PASSWORD).expect("written");
    fs::write(folder.path().join("token"), TOKEN).expect("written");
    let text = "version: 1\nproject: tracker\nenvironments:\n  web:\n    registered: { address: a.example }\n    application:\n      \
                tracker:\n        udp: [{ port: 6969 }]\n        database: { mysql: { password: { from_file: ./password } } }\n        \
                api: { token: { from_file: ./token } }\n";
    let path = folder.path().join("deployment.yaml");
    fs::write(&path, text).expect("written");
    let manifest = manifest::load(path.to_str().expect("UTF-8"), None).expect("valid");
    let environment = manifest.environments.values().next().expect("one").clone();
    let prepared = prepare::prepare(environment, prepare::Resolve::Everything, &|_, _| {})
        .await
        .unwrap_or_else(|failures| panic!("{failures:?}"));
    let redactor = &prepared.redactor;

    // Derived secrets: everything in `.env`, including the database's address.
    let release = prepared.release.as_ref().expect("a release");
    let env = &release.files[camino::Utf8Path::new(".env")];
    let Content::Bytes(bytes) = &env.content else { panic!("in memory") };
    let text = std::str::from_utf8(bytes.expose_secret()).expect("UTF-8");
    // A plain copy would be printed as text or as a list of numbers.
    let part = "en&x=1 + more";
    assert!(text.contains(part), "{TOKEN} is in it");
    for debug in [format!("{release:?}"), format!("{:?}", env.content)] {
        let numbers = format!("{:?}", part.as_bytes());
        assert!(!debug.contains(part) && !debug.contains(numbers.trim_matches(['[', ']'])), "{debug}");
    }
    let said = redactor.redact(text);
    for part in ["p@ss", "p%40ss", "w/ord", "w%2Ford", "to\\\"k", "to\"k", "en&x=1"] {
        assert!(!said.contains(part), "{part} is in {said}");
    }
    // Forms that a service prints: an answer in JSON, an address in a log, a header.
    for form in [
        serde_json::json!({ "password": PASSWORD, "token": TOKEN }).to_string(),
        format!(
            "mysql://root:{}@mysql",
            percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC)
        ),
        format!("Authorization: Basic {}", data_encoding::BASE64.encode(format!("root:{PASSWORD}").as_bytes())),
        format!("{PASSWORD:?} {TOKEN:?}"),
    ] {
        let said = redactor.redact(&form);
        assert!(said.contains("***"), "{said}");
        for part in ["p@ss", "w/ord", "p%40", "to\"k", "to\\\"k", "cEBzczp3", "BAc3M6dy9vcmQ", "AcD"] {
            assert!(!said.contains(part), "{part} is in {said}");
        }
    }
    // Honest text stays readable.
    let honest = "error: the database mysql does not answer on port 3306";
    assert_eq!(redactor.redact(honest), honest);
}
