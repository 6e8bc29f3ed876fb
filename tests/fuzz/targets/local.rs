//! Files of this machine: manifests, applications, saved plans, the store, the predecessor's environments.

#[path = "../../common/application.rs"]
mod common;

use super::{bytes, cases, files, read, target, text};
use crate::Target;
use camino::{Utf8Path, Utf8PathBuf};
use deployer::io::store::Record;
use deployer::manifest::edit::{self, Entry};
use deployer::manifest::environment::{Compose, Name};
use deployer::manifest::torrust::{self, Wish};
use deployer::model::event::PlanView;
use deployer::model::secret::{Redactor, Variable};
use deployer::plan::saved::{Bound, SavedPlan};
use deployer::release::{self, archive, dotenv, image_name};
use deployer::{foreign, manifest};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;

const YAML: &[&str] = &[
    "- ",
    "? ",
    "- - ",
    "a: ",
    "a:\n  b:\n",
    "&a [",
    "*a, ",
    "*a",
    "&b {a: *a}",
    "<<: *a",
    "!!binary ",
    "!reset ",
    "|\n  ",
    ">-\n",
    "---\n",
    "...\n",
    "{a: ",
    "[{",
    "\"\\x",
    "environments:\n",
    "  e: {registered: {address: h}}\n",
    "%TAG ! x\n",
    "services:\n",
    "extends: s0\n",
    "include: [compose.yaml]\n",
    "env_file: ${A:-${B:-",
];

pub fn all() -> Vec<Target> {
    vec![
        target("manifest", read("manifest", &["yaml"]), YAML, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let _ = manifest::parse(text, "deployment.yaml", Utf8Path::new("/work"), None);
        }),
        target("manifest-edit", read("manifest", &["yaml"]), YAML, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let name = Name::parse("added").unwrap();
            let _ = edit::add(text, "deployment.yaml", &name, &Entry::default());
            let _ = edit::set_host_keys(text, &name, &["ssh-ed25519 AAAA".to_owned()]);
        }),
        target("compose", composes(), YAML, |bytes| in_directory("compose.yaml", bytes, false)),
        target(
            "templates",
            templates(),
            &["{{ ", " }}", "{% for a in b %}", "{% if ", "{% include \"", "{% block a %}", "{{ TAG | "],
            |bytes| {
                in_directory("a.conf.tera", bytes, true);
            },
        ),
        target("dotenv", envs(), &["export ", "A=", "A='", "A=\"", "\\\"", "${A}", " #", "A: "], |bytes| {
            let text = text(bytes);
            let _ = dotenv::statements(&text);
            let _ = dotenv::merge(&text, &values());
        }),
        target("archive", archives(), &["ustar\0", "./", "\u{1f}\u{8b}", "0000000"], in_archive),
        target(
            "image-name",
            bytes(&["ghcr.io/a/b:2@sha256:00", "demo", "localhost:5000/a:1"]),
            &["/", ":", "@"],
            |bytes| {
                let name = text(bytes);
                let _ = (image_name::familiar(&name), image_name::registry(&name).len());
            },
        ),
        target(
            "saved-plan",
            vec![plan().text().into_bytes()],
            &["\"body\":{", "\"steps\":[", "\"digest\":"],
            saved_plan,
        ),
        target("store-record", bytes(&[RECORD]), &["\"state\":{", "\"facts\":", "\"stage\":\"running\""], |bytes| {
            let _ = serde_json::from_slice::<Record>(bytes);
        }),
        target("recipe", bytes(&[RECIPE]), &["\"machine\":", "\"secrets\":{", "\"timeout\":{\"secs\":"], |bytes| {
            foreign::recipe(&text(bytes));
        }),
        target(
            "predecessor",
            predecessor(),
            &["\"tracker\":{", "\"core\":{", "\"Running\":{", "\"context\":{"],
            |bytes| {
                let text = text(bytes);
                for wish in [Wish::AsWritten, Wish::Host("192.0.2.1"), Wish::Provisioned] {
                    if let Ok(imported) = torrust::read(&text, wish) {
                        let _ = torrust::remarks(imported.like_it.as_ref());
                    }
                }
            },
        ),
        target(
            "ssh-settings",
            bytes(&["user deploy\nuserknownhostsfile ~/.ssh/known_hosts /dev/null\nidentityagent SSH_AUTH_SOCK\n"]),
            &["userknownhostsfile ", "~/", "identityagent "],
            |bytes| {
                foreign::ssh_settings(&text(bytes));
            },
        ),
        target(
            "redactor",
            bytes(&["password1 pass", "first line\nsecond line\n", "s3cret-token s3cret-token"]),
            &["s3cret-token", "s3cret", "pass"],
            |bytes| {
                let _ = Redactor::new(&["s3cret-token".into(), "pass".into(), "a\nlong line here\nb".into()])
                    .redact(&text(bytes));
            },
        ),
    ]
}

fn values() -> BTreeMap<String, Variable> {
    let variable = |value: &str| Variable { value: Some(value.to_owned().into()), secret: true };
    [("TAG", "1"), ("TOKEN", "s3cret-token")].map(|(name, value)| (name.to_owned(), variable(value))).into()
}

thread_local! {
    /// A directory that all cases of this process share.
    static DIRECTORY: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

fn directory() -> Utf8PathBuf {
    DIRECTORY.with_borrow_mut(|kept| {
        let directory = kept.get_or_insert_with(|| tempfile::tempdir().unwrap());
        Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap()
    })
}

/// Reads an application in which the file with this name is the case.
fn in_directory(name: &str, bytes: &[u8], templates: bool) {
    let directory = directory();
    fs::write(directory.join("compose.yaml"), "services: { web: { image: demo } }\n").unwrap();
    fs::write(directory.join(name), bytes).unwrap();
    let compose = Compose {
        directory,
        files: Vec::new(),
        templates,
        seed: Vec::new(),
        links: Vec::new(),
        copies: BTreeSet::new(),
        readable: Vec::new(),
    };
    let _ = release::load(&common::application(compose), &values(), &deployer::model::secret::Redactor::default());
}

fn in_archive(bytes: &[u8]) {
    let path = directory().join("image.tar");
    fs::write(&path, bytes).unwrap();
    let _ = archive::read("demo:1", &path, &["demo:1".to_owned()].into());
}

/// Returns real files, and short texts that cause much work.
fn composes() -> Vec<Vec<u8>> {
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let aliases = format!(
        "x: &v\n{}services:\n{}",
        lines(300, &|at| format!("  - ./d{at}:/d\n")),
        lines(300, &|at| format!("  s{at}: {{ volumes: *v }}\n"))
    );
    let merges = lines(300, &|at| format!("x{}: &a{} {{ <<: *a{at}, k{at}: 1 }}\n", at + 1, at + 1));
    let chain = lines(300, &|at| format!("  s{}: {{ extends: s{at} }}\n", at + 1));
    let nested = "${A:-".repeat(300);
    let own = [
        aliases,
        format!("x0: &a0 {{ k: 1 }}\n{merges}services: *a300\n"),
        format!("services:\n  s0: {{ build: . }}\n{chain}"),
        format!("services: {{ web: {{ env_file: \"{nested}\" }} }}\n"),
        format!("services: {{ web: {{ env_file: \"${{X}}{}\" }} }}\n", "?".repeat(4000)),
        "include: [compose.yaml, a.yaml]\nservices: { web: { extends: { file: compose.yaml, service: web } } }\n"
            .into(),
    ];
    [read("", &["yaml", "yml"]), own.map(String::into_bytes).into()].concat()
}

/// Returns an archive with a long name, and with nested indexes of equal descriptors.
fn deep_archive() -> Vec<u8> {
    let list = |digest: &str| {
        format!(r#"{{"manifests":[{}]}}"#, vec![format!(r#"{{"digest":"sha256:{digest}"}}"#); 24].join(","))
    };
    let manifest = r#"[{"Config":"c.json","RepoTags":["demo:1"]}]"#.to_owned();
    let mut entries = vec![
        ("c.json".to_owned(), r#"{"architecture":"amd64"}"#.to_owned()),
        ("manifest.json".to_owned(), manifest),
        ("index.json".to_owned(), list("0")),
        ("n".repeat(2000), String::new()),
    ];
    entries.extend((0..6).map(|at| (format!("blobs/sha256/{at}"), list(&(at + 1).to_string()))));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn archives() -> Vec<Vec<u8>> {
    let config = r#"{"architecture":"amd64","os":"linux"}"#;
    let manifest = r#"[{"Config":"abc.json","RepoTags":["demo:1"],"Layers":["x/layer.tar"]}]"#;
    let oci = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:11"}],"config":{"digest":"sha256:00"}}"#;
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in
        [("abc.json", config), ("blobs/sha256/11", oci), ("index.json", oci), ("manifest.json", manifest)]
    {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let plain = builder.into_inner().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&plain).unwrap();
    // A decompression bomb: many zeros in a few bytes.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&[plain, vec![0; 32 << 20]].concat()).unwrap();
    let mut seeds = vec![packed.finish().unwrap(), bomb.finish().unwrap(), deep_archive()];
    seeds.insert(0, tar_of(manifest));
    seeds
}

fn tar_of(manifest: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(manifest.len() as u64);
    builder.append_data(&mut header, "manifest.json", manifest.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

fn templates() -> Vec<Vec<u8>> {
    let written: Vec<_> = files("application", &["tera"]).into_iter().map(|path| fs::read(path).unwrap()).collect();
    [written, bytes(&["{% for a in [1, 2] %}{{ a }} {{ TAG | upper }}{% endfor %}{% if TOKEN %}x{% endif %}\n"])]
        .concat()
}

fn envs() -> Vec<Vec<u8>> {
    let found = walkdir::WalkDir::new(cases("")).into_iter().map(|entry| entry.unwrap().into_path());
    let found = found.filter(|path| path.is_file() && path.file_name().is_some_and(|name| name == ".env"));
    let own: Vec<_> = found.map(|path| fs::read(path).unwrap()).collect();
    [own, bytes(&["A=1\nexport B='x\ny'\nC: \"a\\\"b\" # c\n# comment\nTAG=2\n"])].concat()
}

fn predecessor() -> Vec<Vec<u8>> {
    read("import", &["json"])
}

fn plan() -> SavedPlan {
    let plan: PlanView = serde_json::from_str(PLAN).unwrap();
    SavedPlan {
        made_at: jiff::Timestamp::UNIX_EPOCH,
        by: "alice@laptop".to_owned(),
        named: true,
        environments: BTreeMap::from([("web".to_owned(), Bound::default())]),
        plan,
    }
}

/// Reads a saved plan as it is, and then with the digest of its body, as a forger would write it.
fn saved_plan(bytes: &[u8]) {
    let text = text(bytes);
    let read = |text: &str| {
        if let Ok(plan) = SavedPlan::parse(text, Utf8Path::new("x.plan")) {
            let _ = (plan.names(), plan.text(), plan.moved("web", &Bound::default(), &[], true));
        }
    };
    read(&text);
    if let Ok(file) = serde_json::from_str::<serde_json::Value>(&text)
        && let Some(plan) = file.get("body").cloned()
        && let Ok(plan) = serde_json::from_value::<SavedPlan>(plan)
    {
        read(&plan.text());
    }
}

const PLAN: &str = r#"{"project":"shop","summary":{"create":1,"update":0,"replace":0,"remove":0},"steps":[{"environment":"web","kind":"files","action":"create","reason":"missing","destructive":false,"changes":[{"fact":"a","from":null,"to":"644 sha256:00","diff":"+a\n"}]}],"edges":[],"converged":[]}"#;
const RECORD: &str = r#"{"state":{"access":{"os":"debian 13"}},"stage":"running","health":"healthy","address":"192.0.2.1","observed_at":"2026-11-26T00:00:00Z","serial":7,"suspended":false,"failed":null,"host_keys":["ssh-ed25519 AAAA"],"endpoints":["http://192.0.2.1"],"services":{"web":"running"}}"#;
const RECIPE: &str = r#"{"machine":{"Hetzner":{}},"secrets":{"token":{"environment":"HCLOUD_TOKEN"}},"backend":["s3",{"bucket":"b"}],"timeout":{"secs":600,"nanos":0},"templates":"/srv/templates"}"#;
