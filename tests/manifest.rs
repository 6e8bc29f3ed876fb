//! Manifests as files: each case is read as `deployer check` reads it, and what comes out is compared
//! with the text beside it. Never needs a host.

use camino::Utf8Path;
use deployer::failure::Failure;
use deployer::manifest;
use std::fmt::Write;
use std::fs;

const HOME: &str = "/home/someone";

/// Files of a folder of cases with their names, in order.
fn cases(folder: &str) -> Vec<(String, String)> {
    let root = format!("{}/tests/cases/manifest/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = (fs::read_dir(&root).unwrap())
        .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".yaml").map(Into::into))
        .collect();
    names.sort();
    names.into_iter().map(|name| (format!("{root}/{name}"), name)).collect()
}

/// The expected text beside a case; `UPDATE_CASES=1` writes it.
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
        writeln!(text, "  {}\n  {}", failure.message, failure.advice()).unwrap();
    }
    text.replace(&root, "")
}

#[test]
fn invalid_manifests_say_what_is_wrong() {
    let mut wrong = Vec::new();
    for (path, name) in cases("invalid") {
        let failures = manifest::load(&format!("{path}.yaml"), Some(Utf8Path::new(HOME)))
            .expect_err(&format!("{name} is accepted"));
        wrong.extend(expect(&format!("{path}.txt"), &rendered(&failures)).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn valid_manifests_mean_what_they_say() {
    let root = format!("{}/tests/cases/manifest/valid", env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for (path, name) in cases("valid") {
        let manifest = manifest::load(&format!("{path}.yaml"), Some(Utf8Path::new(HOME)))
            .unwrap_or_else(|failures| panic!("{name}: {}", rendered(&failures)));
        let mut text = format!("{:#?}\n", manifest.environments);
        for (place, warning) in &manifest.warnings {
            let place = place.as_ref().map(|at| format!("{}:{}", at.line, at.column)).unwrap_or_default();
            writeln!(text, "warning {place} {warning}").unwrap();
        }
        wrong.extend(expect(&format!("{path}.txt"), &text.replace(&root, "")).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn parse(text: &str) -> Result<manifest::Manifest, Vec<Failure>> {
    manifest::parse(text, "deployment.yaml", Utf8Path::new("/base"), Some(Utf8Path::new(HOME)))
}

/// Ten thousand environments, each with every section; `merge` adds an alias of a common part to each.
fn many(merge: bool) -> String {
    let mut text =
        String::from("version: 1\nproject: shop\nx-base: &base\n  ssh: { user: deploy, port: 22, wait: 1m }\n");
    text.push_str("  health: { timeout: 3m, stable_for: 2s }\nenvironments:\n");
    for number in 0..10_000 {
        let merged = if merge { "    <<: *base\n" } else { "    ssh: { user: deploy, wait: 1m }\n" };
        writeln!(
            text,
            "  e{number}:\n{merged}    registered: {{ address: h{number}.example.com }}\n    application:\n      compose:\n        \
             directory: ./app\n        variables: {{ KEY: value, TAG: {{ from_env: TAG }} }}\n    checks:\n      - {{ name: \
             page, http: {{ port: 8080, path: /, contains: hello }} }}\n    depends_on: [e{}]",
            if number == 0 { 9_999 } else { number - 1 }
        )
        .unwrap();
    }
    text.replacen("    depends_on: [e9999]\n", "", 1)
}

#[test]
fn ten_thousand_environments_load() {
    for merge in [false, true] {
        let text = many(merge);
        let start = std::time::Instant::now();
        let manifest = parse(&text).unwrap_or_else(|failures| panic!("{}", rendered(&failures)));
        let took = start.elapsed();
        assert_eq!(manifest.environments.len(), 10_000);
        eprintln!("{merge} {took:?} {} bytes", text.len());
        assert!(took.as_secs() < if cfg!(debug_assertions) { 10 } else { 1 }, "took {took:?}");
    }
}

#[test]
fn an_alias_bomb_is_refused_at_once() {
    for width in [2, 9, 60] {
        let mut text = String::from("version: 1\nproject: shop\nx-0: &l0 [x]\n");
        for level in 1..20 {
            let below = vec![format!("*l{}", level - 1); width].join(", ");
            writeln!(text, "x-{level}: &l{level} [{below}]").unwrap();
        }
        text.push_str("environments: *l19\n");
        let start = std::time::Instant::now();
        let failures = parse(&text).unwrap_err();
        let took = start.elapsed();
        eprintln!("{width} {took:?}");
        assert!(failures[0].message.contains("aliases"), "{}", rendered(&failures));
        assert!(took.as_millis() < if cfg!(debug_assertions) { 1_000 } else { 100 }, "took {took:?}");
    }
}
