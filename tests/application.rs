//! Rendering of an application's directory to its release. Each case is one directory below `tests/cases/application`,
//! with `case.yaml` (the settings in the manifest), `app/` and the expected release. Needs no Docker.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "common/application.rs"]
mod common;

use camino::{Utf8Path, Utf8PathBuf};
use deployer::manifest::environment::{Application, Compose};
use deployer::model::failure::Failure;
use deployer::model::secret::Variable;
use deployer::release::sent::{Content, Release};
use deployer::release::{self, Tarball};
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

#[derive(Clone, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    files: Vec<String>,
    templates: bool,
    seed: Vec<String>,
    links: Vec<String>,
    readable: Vec<String>,
    /// Variables that may be shown.
    variables: BTreeMap<String, String>,
    /// Secret variables.
    secrets: BTreeMap<String, String>,
    /// Secret variables that are not resolved.
    unknown: Vec<String>,
}

fn compose(directory: Utf8PathBuf, case: &Case) -> Application {
    let Case { files, templates, seed, links, readable, .. } = case.clone();
    let seed = seed.into_iter().map(Into::into).collect();
    common::application(Compose { directory, files, templates, seed, links, copies: BTreeSet::new(), readable })
}

fn values(case: &Case) -> BTreeMap<String, Variable> {
    let mut values = BTreeMap::new();
    for (secret, named) in [(false, &case.variables), (true, &case.secrets)] {
        for (name, value) in named {
            values.insert(name.clone(), Variable { value: Some(value.clone().into()), secret });
        }
    }
    for name in &case.unknown {
        values.insert(name.clone(), Variable { value: None, secret: true });
    }
    values
}

fn listing(release: &Release) -> String {
    let mut text = format!("compose files: {}\n", release.compose_files.join(" "));
    for place in &release.builds {
        writeln!(text, "built from: ./{place}").unwrap();
    }
    for (path, file) in &release.files {
        let secret = if file.secret { " secret" } else { "" };
        let seed = if file.seed { " seed" } else { "" };
        let unknown = if file.sha256.is_none() { " unknown" } else { "" };
        writeln!(text, "{:04o} {path}{secret}{seed}{unknown}", file.mode).unwrap();
        if let Content::Bytes(bytes) = &file.content {
            for line in String::from_utf8_lossy(bytes.expose_secret()).lines() {
                writeln!(text, "     | {line}").unwrap();
            }
        }
    }
    text
}

fn report(failures: &[Failure]) -> String {
    let mut text = String::new();
    for failure in failures {
        writeln!(text, "{}: {}", failure.reason.code(), failure.message()).unwrap();
        if let Some(at) = &failure.location {
            let marked =
                at.span.clone().and_then(|span| at.source.as_ref()?.get(span)).map(|text| format!(" `{text}`"));
            writeln!(text, "  at {}:{}:{}{}", at.file, at.line, at.column, marked.unwrap_or_default()).unwrap();
        }
        for line in failure.details.iter().flat_map(|details| details.lines()) {
            writeln!(text, "  | {line}").unwrap();
        }
        writeln!(text, "  hint: {}", failure.advice()).unwrap();
    }
    text
}

/// Returns the directories of one kind of case, in order.
fn cases(kind: &str) -> Vec<Utf8PathBuf> {
    let mut cases: Vec<Utf8PathBuf> = Utf8Path::new("tests/cases")
        .join(kind)
        .read_dir_utf8()
        .unwrap()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

#[test]
fn applications_become_the_releases_next_to_them() {
    for directory in cases("application") {
        let text = std::fs::read_to_string(directory.join("case.yaml")).unwrap();
        let case: Case = serde_saphyr::from_str(&text).unwrap();
        let shown = match release::load(
            &compose(directory.join("app"), &case),
            &values(&case),
            &deployer::model::secret::Redactor::default(),
        ) {
            Ok(release) => listing(&release),
            Err(failures) => report(&failures),
        };
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(directory.canonicalize_utf8().unwrap());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("release", shown));
    }
}

/// Loads an application from a directory that was made for one test.
fn load(directory: &tempfile::TempDir) -> Result<Release, Vec<Failure>> {
    let directory = Utf8Path::from_path(directory.path()).unwrap().to_owned();
    release::load(
        &compose(directory, &Case::default()),
        &BTreeMap::new(),
        &deployer::model::secret::Redactor::default(),
    )
}

fn application(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    directory
}

#[test]
fn files_that_cannot_be_sent_are_refused_by_name_and_all_at_once() {
    use std::os::unix::ffi::OsStrExt;
    let directory = application(&[("compose.yaml", b"services: {}"), ("a\nb", b""), (".git/config", b"")]);
    let odd = std::ffi::OsStr::from_bytes(b"\xff.txt");
    std::fs::write(directory.path().join(odd), "").unwrap();
    std::fs::write(directory.path().join(".git").join(odd), "").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let messages: Vec<String> = load(&directory).unwrap_err().into_iter().map(|failure| failure.message()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].contains(r"a\nb") && messages[0].contains("line break"), "{messages:?}");
    assert!(messages[1].ends_with("socket is neither a file nor a directory"), "{messages:?}");
    assert!(messages[2].contains("is not UTF-8"), "{messages:?}");
}

#[test]
fn a_missing_directory_is_reported() {
    let failures = release::load(
        &compose("/nowhere".into(), &Case::default()),
        &BTreeMap::new(),
        &deployer::model::secret::Redactor::default(),
    )
    .unwrap_err();
    assert_eq!(failures[0].message(), "/nowhere is not a directory");
}

#[test]
fn a_rendered_secret_and_a_private_template_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = application(&[
        ("compose.yaml", b"{}"),
        ("a.tera", b"{{ TOKEN }}"),
        ("b.tera", b"{{ TOKEN }}"),
        ("c.tera", b""),
    ]);
    for name in ["a.tera", "c.tera"] {
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(directory.path().join(name), private).unwrap();
    }
    let case = Case { templates: true, secrets: [("TOKEN".into(), "x".into())].into(), ..Case::default() };
    let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
    let release =
        release::load(&compose(root, &case), &values(&case), &deployer::model::secret::Redactor::default()).unwrap();
    let mode = |name: &str| release.files[Utf8Path::new(name)].mode;
    assert_eq!((mode("a"), mode("b"), mode("c")), (0o600, 0o600, 0o600));
}

fn tar_of(release: &Release) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Tarball::of(release).write(&mut bytes).map(|()| bytes)
}

/// Returns the path, mode and size of each entry.
fn entries(bytes: &[u8]) -> Vec<(String, u32, u64)> {
    let mut archive = tar::Archive::new(bytes);
    let entry = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
        (entry.path().unwrap().to_str().unwrap().to_owned(), header.mode().unwrap(), entry.size())
    };
    archive.entries().unwrap().map(entry).collect()
}

#[test]
fn a_tar_is_the_same_bytes_every_time_and_ends_with_the_mark_that_it_is_whole() {
    let long = format!("deep/{}/file", "x".repeat(150));
    let directory = application(&[("compose.yaml", b"services: {}"), (&long, b"long")]);
    let release = load(&directory).unwrap();
    let bytes = tar_of(&release).unwrap();
    assert_eq!(bytes, tar_of(&release).unwrap());
    let above = long.trim_end_matches("/file").to_owned();
    let expected = [
        ("compose.yaml".to_owned(), 0o644, 12),
        ("deep".to_owned(), 0o755, 0),
        (above, 0o755, 0),
        (long, 0o644, 4),
        (release::WHOLE.to_owned(), 0o600, 0),
    ];
    assert_eq!(entries(&bytes), expected);
}

#[test]
fn a_file_that_changes_after_it_was_loaded_is_not_sent() {
    for changed in ["services: []", "services: {} # longer", "x", ""] {
        let directory = application(&[("compose.yaml", b"services: {}")]);
        let release = load(&directory).unwrap();
        std::fs::write(directory.path().join("compose.yaml"), changed).unwrap();
        let mut bytes = Vec::new();
        let error = Tarball::of(&release).write(&mut bytes).unwrap_err();
        assert_eq!(error.to_string(), "compose.yaml changed while it was being read");
        let whole = bytes.windows(9).any(|window| window == release::WHOLE.as_bytes());
        assert!(!whole, "nothing says that it is whole");
    }
}

#[test]
fn a_file_that_becomes_a_link_after_it_was_loaded_is_not_sent() {
    let directory = application(&[("app/compose.yaml", b"services: {}"), ("app/conf/page", b"x"), ("out/page", b"x")]);
    let app = Utf8PathBuf::from_path_buf(directory.path().join("app")).unwrap();
    let release = release::load(
        &compose(app.clone(), &Case::default()),
        &BTreeMap::new(),
        &deployer::model::secret::Redactor::default(),
    )
    .unwrap();
    std::fs::remove_dir_all(app.join("conf")).unwrap();
    std::os::unix::fs::symlink("../out", app.join("conf")).unwrap();
    let error = tar_of(&release).unwrap_err().to_string();
    assert!(error.contains("conf/page cannot be read") && error.contains("is a link"), "{error}");
}

#[test]
fn every_element_of_the_compose_specification_loads() {
    for directory in cases("compose-spec") {
        let loaded = release::load(
            &compose(directory.clone(), &Case::default()),
            &BTreeMap::new(),
            &deployer::model::secret::Redactor::default(),
        );
        if let Err(failures) = loaded {
            panic!("{directory}: {}", report(&failures));
        }
    }
}

#[test]
fn bombs_and_cycles_in_a_compose_file_cost_nothing() {
    let mut bomb = "x-0: &a0 { build: . }\n".to_owned();
    for level in 1..40 {
        let below = level - 1;
        writeln!(bomb, "x-{level}: &a{level} {{ <<: [*a{below}, *a{below}], x-list: [*a{below}, *a{below}] }}")
            .unwrap();
    }
    bomb +=
        "x-self: &self { <<: *self, x-again: [*self] }\nservices: { web: *a39, other: *self, one: { extends: one } }\n";
    let directory = application(&[("compose.yaml", bomb.as_bytes())]);
    let started = std::time::Instant::now();
    let release = load(&directory).unwrap();
    assert_eq!(release.builds, BTreeSet::from([Utf8PathBuf::new()]));
    assert!(started.elapsed().as_millis() < 100, "{:?}", started.elapsed());
}

#[test]
fn a_bomb_of_mistakes_is_reported_in_part() {
    let mut bomb = "x-0: &a0 { wrong: 1 }\n".to_owned();
    for level in 1..40 {
        let below = level - 1;
        writeln!(bomb, "x-{level}: &a{level} {{ build: *a{below}, deploy: *a{below}, ports: [*a{below}] }}").unwrap();
    }
    bomb += "services: { web: *a39, other: *a38 }\n";
    let failures = load(&application(&[("compose.yaml", bomb.as_bytes())])).unwrap_err();
    assert!((1..=20).contains(&failures.len()), "{}", failures.len());
}

#[test]
fn mistakes_in_compose_files_are_found_without_a_host() {
    for name in [
        "bad-interpolation",
        "required-variable",
        "services-as-list",
        "unknown-service-key",
        "unknown-top-level-key",
        "wrong-type",
    ] {
        let directory = Utf8Path::new("tests/cases/compose-invalid").join(name);
        let known = deployer::model::secret::Redactor::default();
        assert!(release::load(&compose(directory, &Case::default()), &BTreeMap::new(), &known).is_err(), "{name}");
    }
}

#[test]
fn nesting_without_end_is_refused_and_deep_nesting_is_not() {
    let nested = |depth: usize| format!("x-n: {}{}\nservices: {{}}\n", "[".repeat(depth), "]".repeat(depth));
    assert!(load(&application(&[("compose.yaml", nested(1000).as_bytes())])).is_ok());
    let failures = load(&application(&[("compose.yaml", nested(100_000).as_bytes())])).unwrap_err();
    assert!(failures[0].message().contains("is not YAML"), "{}", failures[0]);
}

#[test]
fn files_that_include_each_other_are_read_once() {
    let one = b"include: [two.yaml, ../outside.yaml, none.yaml]\nservices: {}\n";
    let two = b"include: [compose.yaml]\nservices: { web: { build: . } }\n";
    let release = load(&application(&[("compose.yaml", one), ("two.yaml", two)])).unwrap();
    assert_eq!(release.builds.len(), 1);
}

#[test]
fn links_that_lead_nowhere_or_in_a_circle_are_named() {
    let directory = application(&[("compose.yaml", b"services: {}"), ("sub/file", b"")]);
    for (target, link) in [("nowhere", "broken"), ("self", "self"), ("..", "sub/up")] {
        std::os::unix::fs::symlink(target, directory.path().join(link)).unwrap();
    }
    let root = directory.path().to_str().unwrap();
    let messages: Vec<String> =
        load(&directory).unwrap_err().iter().map(|one| one.message().replace(root, "APP")).collect();
    let expected = [
        "APP/broken is a broken link",
        "APP/self is a broken link",
        "APP/sub/up is a link to APP, which contains the link",
    ];
    assert_eq!(messages, expected);
}
