//! Manifests as files: each case is read as `deployer check` reads it, and what comes out is compared
//! with the text beside it. Never needs a host.

use camino::Utf8Path;
use deployer::failure::Failure;
use deployer::manifest;
use deployer::manifest::edit::{self, Entry};
use deployer::manifest::environment::Name;
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

#[test]
fn the_schema_is_fresh() {
    let path = format!("{}/schemas/deployment.schema.json", env!("CARGO_MANIFEST_DIR"));
    expect(&path, &manifest::schema_text()).unwrap();
}

/// The schema's opinion of a case that is YAML at all.
fn accepted_by_schema(path: &str) -> Option<bool> {
    let text = fs::read_to_string(path).ok()?;
    let options = serde_saphyr::options! { strict_booleans: true };
    let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let value = serde_saphyr::from_str_with_options(bare, options).ok()?;
    Some(jsonschema::validator_for(&manifest::schema()).unwrap().is_valid(&value))
}

#[test]
fn the_schema_accepts_what_is_valid() {
    for (path, name) in cases("valid") {
        assert_eq!(accepted_by_schema(&format!("{path}.yaml")), Some(true), "{name}");
    }
}

#[test]
fn the_schema_refuses_what_has_the_wrong_form() {
    let forms = "unknown-key unknown-nested-key later-key wrong-type-list wrong-type-scalar wrong-type-number \
        wrong-type-text list-wanted null-environments null-environment null-defaults yes-boolean unknown-choice \
        number-as-text source-typo value-is-a-list missing-top-level top-level state-form version-as-text port-as-text \
        switch-as-text engine checks fault-in-defaults host-directories";
    for name in forms.split_whitespace() {
        let path = format!("{}/tests/cases/manifest/invalid/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(accepted_by_schema(&path), Some(false), "{name}");
    }
}

#[test]
fn the_template_loads_beside_an_application() {
    let folder = tempfile::tempdir().unwrap();
    let base = Utf8Path::from_path(folder.path()).unwrap();
    fs::create_dir(base.join("app")).unwrap();
    let text = manifest::template("shop");
    assert!(text.starts_with("# yaml-language-server: $schema="));
    let manifest =
        manifest::load_text(&text, "deployment.yaml", base, None).unwrap_or_else(|it| panic!("{}", rendered(&it)));
    assert_eq!(manifest.environments.len(), 1);
    // Every example that is commented out is right too.
    let shown: String = text
        .lines()
        .map(|line| {
            let example = line.trim_start().strip_prefix("# ").filter(|rest| {
                let key = rest.trim_start_matches(['-', ' ', '{']).split(':').next().unwrap_or_default();
                rest.contains(':') && !key.contains(' ') && key != "yaml-language-server"
            });
            let indent = " ".repeat(line.len() - line.trim_start().len());
            example.map_or(line.to_owned(), |rest| format!("{indent}{rest}")) + "\n"
        })
        .collect();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJhFwGYlbQ1QGAVYdJpRtUoSvIGOvzD8VFUBGJZAjxRk";
    let whole =
        parse(&shown.replace("ssh-ed25519 AAAA…", key)).unwrap_or_else(|it| panic!("{shown}\n{}", rendered(&it)));
    let production = whole.environments.values().next().unwrap();
    assert_eq!((production.checks.len(), production.ssh.port), (2, Some(22)));
}

fn entry() -> Entry {
    Entry {
        address: "2001:db8::7".into(),
        port: Some(2222),
        user: Some("deploy".into()),
        identity_file: Some("~/.ssh/it's: \"mine\" #1".into()),
        host_key: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJhFwGYlbQ1QGAVYdJpRtUoSvIGOvzD8VFUBGJZAjxRk".into()],
        application: Some("./app".into()),
    }
}

fn shown(edited: &Result<String, Failure>) -> String {
    match edited {
        Ok(text) => text.replace('\r', "␍"),
        Err(failure) => {
            let place = failure.location.as_ref().map(|at| format!("{}:{} ", at.line, at.column)).unwrap_or_default();
            let details = failure.details.as_deref().unwrap_or_default();
            format!("{place}{}\n{}\n{details}", failure.message, failure.advice())
        }
    }
}

#[test]
fn edits_keep_everything_else() {
    let (new, old) = (Name::parse("new").unwrap(), Name::parse("old").unwrap());
    let mut wrong = Vec::new();
    for (path, _) in cases("edit") {
        let text = fs::read_to_string(format!("{path}.yaml")).unwrap();
        let added = edit::add(&text, "deployment.yaml", &new, &entry());
        let keyed = edit::set_host_keys(&text, &old, &entry().host_key);
        let found = format!("=== add\n{}\n=== set host keys\n{}\n", shown(&added), shown(&keyed));
        wrong.extend(expect(&format!("{path}.txt"), &found).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_manifest_is_replaced_at_once_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap().join("deployment.yaml");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    edit::write(&path, "old", "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(edit::write(&path, "old", "newer").is_err(), "someone else's change is overwritten");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
