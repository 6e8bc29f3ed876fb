//! The input of a case: the manifest, its application, and a recording. Reads no image archive.

use camino::{Utf8Path, Utf8PathBuf};
use deployer::manifest;
use deployer::manifest::environment::{Environment, Registry, Source};
use deployer::model::secret::{SecretSource, Variable};
use deployer::model::state::Kind;
use deployer::release;
use deployer::release::sent::{Archive, Login, Release};
use deployer::resource::contract::frame::Marks;
use deployer::resource::contract::record::DigestKey;
use deployer::resource::images::registry::Answer;
use deployer::resource::{self, HostFacts, Subject};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

/// The settings of a case, under `x-case` in its manifest.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Case {
    /// The images whose archives are shipped; those of the recording if absent.
    archives: Option<Vec<Shipped>>,
    /// Files whose content the case changes.
    files: BTreeMap<Utf8PathBuf, String>,
    /// The registries' answers: a digest, or the reason why there is none.
    registry: BTreeMap<String, String>,
    /// True if the secrets cannot be resolved.
    offline: bool,
    /// True if the recording is used alone, without the frames of the converged host.
    alone: bool,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Shipped {
    image: String,
    ids: Vec<String>,
    architecture: String,
    bytes: u64,
}

#[derive(Default, serde::Deserialize)]
struct Extra {
    #[serde(default, rename = "x-case")]
    case: Case,
}

/// The input of a resource.
pub struct Given {
    pub environment: Environment,
    pub release: Option<Release>,
    pub facts: HostFacts,
    pub key: DigestKey,
}

impl Given {
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            environment: &self.environment,
            release: self.release.as_ref(),
            retry: false,
            take_over: false,
            new_volumes: &[],
            fallback_key: &self.key,
        }
    }
}

pub fn root() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/step")
}

/// Returns the recording of the converged host, with its frames replaced by those of `recording`.
pub fn output(recording: &str) -> Vec<u8> {
    let converged = fs::read_to_string(root().join("converged.txt")).unwrap();
    let frame = |text: &str, name: &str| {
        let (begin, end) = (format!("@@deployer begin {name}\n"), format!("\n@@deployer end {name}\n"));
        let from = text.find(&begin)?;
        Some(text[from..from + text[from..].find(&end)? + end.len()].to_owned())
    };
    let empty = |name: &str| format!("@@deployer begin {name}\n\n@@deployer end {name}\n");
    let rooms = Kind::ALL.map(Kind::name);
    let of = |name| frame(recording, name).or_else(|| frame(&converged, name)).unwrap_or_else(|| empty(name));
    let text: String = rooms.map(of).concat();
    bytes(&text)
}

/// Returns the bytes of a recording: a NUL is written as its Unicode picture, and the marks are those of the key of
/// every case. Text before the first frame, such as the line `# proves: RULE`, is ignored.
pub fn bytes(text: &str) -> Vec<u8> {
    let marks = marks();
    let line = |line: &str| match (line.strip_prefix("@@deployer begin "), line.strip_prefix("@@deployer end ")) {
        (Some(name), _) => format!("{} begin {name}\n", marks.as_str()),
        (_, Some(name)) => format!("{} end {name} 0\n", marks.as_str()),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect::<String>().replace('␀', "\0").into_bytes()
}

/// Returns the key of every case.
pub fn key() -> DigestKey {
    DigestKey::new([7; 32])
}

/// Returns the marks of every case's probe.
pub fn marks() -> Marks {
    Marks::of(&key())
}

/// Returns the case of a recording at `path`, with the manifest next to it if there is one.
pub fn given(path: &Utf8Path) -> Result<Given, String> {
    let own = path.with_extension("yaml");
    let manifest = if own.exists() { own } else { root().join("deployment.yaml") };
    let text = fs::read_to_string(&manifest).unwrap();
    let case = serde_saphyr::from_str::<Extra>(&text).unwrap().case;
    let environment = manifest::load_text(&text, manifest.as_str(), &root(), None)
        .unwrap_or_else(|failures| panic!("{manifest}: {failures:?}"))
        .environments
        .into_values()
        .next()
        .unwrap();
    let release = environment.application.is_some().then(|| release(&environment, &case));
    let recording = fs::read_to_string(path).unwrap();
    let output = if case.alone { bytes(&recording) } else { output(&recording) };
    let mut facts = resource::parse(&marks(), &output).map_err(|failure| failure.message())?;
    facts.outside.registry = case.registry.iter().map(|(image, said)| (image.clone(), answer(said))).collect();
    Ok(Given { environment, release, facts, key: key() })
}

fn answer(said: &str) -> Answer {
    if said.starts_with("sha256:") { Answer::Digest(said.to_owned()) } else { Answer::None(said.to_owned()) }
}

fn release(environment: &Environment, case: &Case) -> Release {
    let mut wanted = environment.application.clone().unwrap();
    let variable = |source: &SecretSource| match source {
        SecretSource::Literal { value, secret } => Variable { value: Some(value.clone().into()), secret: *secret },
        _ if case.offline => Variable { value: None, secret: true },
        _ => Variable { value: Some("s3cret-token".into()), secret: true },
    };
    let values = wanted.variables.iter().map(|(name, source)| (name.clone(), variable(source))).collect();
    let Source::Compose(compose) = &mut wanted.source else { panic!("a directory is wanted") };
    let changed = tempfile::tempdir().unwrap();
    if !case.files.is_empty() {
        let directory = Utf8Path::from_path(changed.path()).unwrap();
        for entry in walkdir::WalkDir::new(&compose.directory).into_iter().map(Result::unwrap) {
            let below = entry.path().strip_prefix(&compose.directory).unwrap();
            let to = directory.as_std_path().join(below);
            if entry.file_type().is_dir() {
                fs::create_dir_all(to).unwrap();
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
        case.files.iter().for_each(|(path, text)| fs::write(directory.join(path), text).unwrap());
        compose.directory = directory.to_owned();
    }
    let mut release = release::load(&wanted, &values, &deployer::model::secret::Redactor::default())
        .unwrap_or_else(|failures| panic!("{failures:?}"));
    for file in release.files.values_mut() {
        if let release::sent::Content::Path(_) = &file.content {
            file.content = release::sent::Content::Bytes(Arc::new(file.read(u64::MAX - 1).unwrap().into()));
        }
    }
    let login = |(host, registry): (&String, &Registry)| {
        let password = "s3cret-password".into();
        (host.clone(), Login { username: registry.username.clone(), password })
    };
    release.logins = wanted.registries.iter().map(login).collect();
    release.archives = case.archives.as_deref().map_or_else(|| vec![demo()], |all| all.iter().map(archive).collect());
    release
}

/// Returns the archive of the recording.
fn demo() -> Archive {
    archive(&Shipped {
        image: "demo:1".to_owned(),
        ids: vec!["sha256:961e45afc8ab652505120e4df4b1de391934c0af3f87df85a62dd2e0c1c2e5c5".to_owned()],
        architecture: "amd64".to_owned(),
        bytes: 2_000_000,
    })
}

fn archive(shipped: &Shipped) -> Archive {
    let Shipped { image, ids, architecture, bytes } = shipped;
    let path = format!("{}.tar", image.replace(['/', ':'], "-")).into();
    Archive { image: image.clone(), path, bytes: *bytes, ids: ids.clone(), architecture: architecture.clone() }
}
