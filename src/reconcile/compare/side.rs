//! One environment in one of two commits. Only values in the manifest itself are resolved.

use super::snapshot::{Link, Place, Snapshot};
use super::tree::{Entry, Found};
use crate::manifest::environment::{Application, Environment, Identity, Source};
use crate::manifest::provision::{Machine, Module, ModuleSource};
use crate::manifest::tracker::Issuer;
use crate::manifest::{self, Manifest};
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::secret::SecretSource;
use crate::model::state::{Facts, Kind, State};
use crate::plan::saved;
use crate::reconcile::annotate;
use crate::reconcile::prepare::{self, Prepared, Resolve};
use crate::release::{ENV, image_name, template};
use crate::resource::contract::record::DigestKey;
use crate::resource::{self, HostFacts};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The prefix of facts that are settings of the manifest's entry.
pub const SETTING: &str = "setting ";

/// One environment in one of the two manifests.
pub struct Side {
    /// The environment and its release.
    pub prepared: Prepared,
    /// The state that the manifest and the release ask for.
    pub state: State,
    /// The texts that may be shown, by the path of the file in the release.
    pub texts: BTreeMap<Utf8PathBuf, String>,
    /// The links of the application, by their paths in it.
    pub links: BTreeMap<Utf8PathBuf, Link>,
    /// What the manifest names that is not compared, by its path in the tree, and the reason.
    pub gaps: BTreeMap<String, String>,
}

impl Side {
    /// Returns the files of the release that need a value and that no fact represents.
    pub fn uncompared(&self) -> impl Iterator<Item = String> {
        let facts = self.state.0.get(&Kind::Files);
        let files = self.prepared.release.iter().flat_map(|release| &release.files);
        let paths = files.filter(|(_, file)| file.sha256.is_none()).map(|(path, _)| path.to_string());
        paths.filter(move |path| facts.is_none_or(|facts| !facts.contains_key(path)))
    }
}

/// An environment whose files were written into the snapshot.
struct Placed {
    environment: Environment,
    /// Image → the object id of its archive.
    archives: BTreeMap<String, String>,
    /// The files in the repository that OpenTofu uses: the fact's name → a digest.
    recipes: BTreeMap<String, String>,
    links: BTreeMap<Utf8PathBuf, Link>,
}

/// Reads one environment of a manifest that was parsed with paths below the snapshot's directory; `own` are the paths of the
/// manifest and of the texts that it names.
pub async fn side(
    environment: &Environment,
    manifest: &Manifest,
    own: &[Utf8PathBuf],
    snapshot: &mut Snapshot<'_>,
    key: &DigestKey,
) -> Result<Side, Vec<Failure>> {
    let mut named = named(environment, manifest);
    named.extend(own.iter().map(|path| (Kind::Access, path.clone())));
    let paths = || named.iter().filter_map(|(_, path)| path.strip_prefix(&snapshot.root).ok());
    if let Some(name) = snapshot.tree.refused_below(&snapshot.tree.reached(paths()).directories) {
        let failure = Failure::new(
            Reason::ApplicationInvalid,
            format!("The name of {name} is not UTF-8, or is one that Git uses"),
        );
        return Err(vec![failure.hint("Rename it: files with such names cannot be sent")]);
    }
    let gaps = gaps(&named, snapshot);
    let Placed { environment: placed, archives, recipes, links } =
        place(environment, snapshot).await.map_err(|failure| vec![failure])?;
    let mut prepared = prepare::prepare(placed, Resolve::Literals, &|_, _| {}).await?;
    prepared.fallback_key = key.clone();
    // Every supported host has systemd.
    let mut facts = HostFacts::default();
    facts.access.systemd = true;
    let mut state = resource::desired(&prepared.subject(), &facts);
    state.0.entry(Kind::Images).or_default().extend(archives);
    state.0.entry(Kind::Infrastructure).or_default().extend(recipes);
    texts_of_hosts(environment, &mut state);
    let read = |source: &SecretSource| content(source, snapshot, &manifest.directory, key);
    let value = |source: &SecretSource| told(source, key, read(source));
    let own = &manifest::describe_with(environment, &value)[prepared.name()];
    let shared = manifest::describe_shared(manifest, environment, &value);
    let directory = &manifest.directory;
    for (setting, value) in [own, &shared].into_iter().flat_map(|entry| saved::settings(entry, directory, &[])) {
        let own = state.0.entry(kind_of(&setting)).or_default();
        own.insert(format!("{SETTING}{setting}"), value.replace(&format!("\"{directory}\""), "\".\""));
    }
    let mut texts = texts(&prepared, &snapshot.root, state.0.entry(Kind::Files).or_default());
    show_links(&prepared, &links, state.0.entry(Kind::Files).or_default(), &mut texts);
    for (kind, gaps) in &gaps {
        // No file of a release has such a path.
        let facts = gaps.iter().map(|(path, why)| (format!("./{path}"), why.clone()));
        state.0.entry(*kind).or_default().extend(facts);
    }
    let gaps = gaps.into_values().flatten().collect();
    Ok(Side { prepared, state, texts, links, gaps })
}

/// The paths that the manifest names for an environment, with the kinds of what is made from them.
pub fn named(environment: &Environment, manifest: &Manifest) -> Vec<(Kind, Utf8PathBuf)> {
    let mut named = Vec::new();
    if let Some(application) = &environment.application {
        named.extend(application.archives.values().map(|path| (Kind::Images, path.clone())));
        match &application.source {
            Source::Compose(compose) => named.push((Kind::Files, compose.directory.clone())),
            Source::Tracker(tracker) => {
                named.push((Kind::Files, tracker.templates.clone()));
                if let Some(Issuer::Acme { root: Some(root), .. }) = tracker.tls.as_ref().map(|tls| &tls.issuer) {
                    named.push((Kind::Files, root.clone()));
                }
            }
        }
    }
    named.extend(recipe(environment).map(|(_, directory)| (Kind::Infrastructure, directory)));
    if let Some(Identity::File(path)) = &environment.ssh.identity {
        named.push((Kind::Access, path.clone()));
    }
    let sources = RefCell::new(Vec::new());
    let gather = |source: &SecretSource| {
        sources.borrow_mut().extend(read_by(source, &manifest.directory).into_iter().map(|path| (Kind::Access, path)));
        Value::Null
    };
    manifest::describe_with(environment, &gather);
    manifest::describe_shared(manifest, environment, &gather);
    named.extend(sources.into_inner());
    named
}

/// The files that the source of a value may read or run.
fn read_by(source: &SecretSource, directory: &Utf8Path) -> Vec<Utf8PathBuf> {
    match source {
        SecretSource::File { path, .. } => vec![path.clone()],
        SecretSource::Command { argv, .. } => {
            argv.iter().filter(|word| word.contains('/')).map(|word| directory.join(word)).collect()
        }
        SecretSource::Literal { .. } | SecretSource::Environment { .. } => Vec::new(),
    }
}

/// A digest of the files of the tree that the source of a value reads or runs, if there is one.
fn content(source: &SecretSource, snapshot: &Snapshot<'_>, directory: &Utf8Path, key: &DigestKey) -> Option<String> {
    let entries = read_by(source, directory).into_iter().filter_map(|path| match snapshot.find(&path) {
        Found::Entry(_, entry) => Some(entry.id.clone()),
        _ => None,
    });
    let ids: Vec<String> = entries.collect();
    (!ids.is_empty()).then(|| format!("keyed:{}", key.digest(blake3::hash(ids.join(" ").as_bytes()).as_bytes())))
}

/// What of the named paths is not compared, by kind and by the paths in the tree.
pub fn gaps(named: &[(Kind, Utf8PathBuf)], snapshot: &Snapshot<'_>) -> BTreeMap<Kind, BTreeMap<String, String>> {
    let mut gaps: BTreeMap<Kind, BTreeMap<String, String>> = BTreeMap::new();
    for (kind, path) in named {
        let found = snapshot.tree.gaps(path.strip_prefix(&snapshot.root).ok());
        gaps.entry(*kind).or_default().extend(found);
    }
    gaps
}

/// Writes the source files of an environment into the snapshot, and changes its paths to them.
async fn place(environment: &Environment, snapshot: &mut Snapshot<'_>) -> Result<Placed, Failure> {
    let mut placed = Placed {
        environment: environment.clone(),
        archives: BTreeMap::new(),
        recipes: recipes(environment, snapshot),
        links: BTreeMap::new(),
    };
    let Some(application) = &mut placed.environment.application else { return Ok(placed) };
    for (image, path) in std::mem::take(&mut application.archives) {
        if let Found::Entry(_, Entry { id, .. }) = snapshot.find(&path) {
            let id = id.get(..12).unwrap_or(id);
            placed.archives.insert(image_name::familiar(&image), format!("archive {id}"));
        }
    }
    match &mut application.source {
        Source::Compose(compose) => {
            let shown = shown(&compose.directory, snapshot);
            compose.directory = match snapshot.write(&compose.directory).await? {
                Place::Written(path) => path,
                Place::Nothing => return Err(untracked(&shown, snapshot)),
                Place::Outside => return Err(outside(&shown)),
            };
            placed.links = links_below(&compose.directory, snapshot);
            compose.copies = placed.links.keys().cloned().collect();
        }
        Source::Tracker(tracker) => {
            let shown = shown(&tracker.templates, snapshot);
            match snapshot.write(&tracker.templates).await? {
                Place::Written(path) => tracker.templates = path,
                Place::Nothing => tracker.templates = snapshot.root.join("no templates"),
                Place::Outside => return Err(outside(&shown)),
            }
            if let Some(Issuer::Acme { root: Some(root), .. }) = tracker.tls.as_mut().map(|tls| &mut tls.issuer) {
                let shown = self::shown(root, snapshot);
                *root = match snapshot.write(root).await? {
                    Place::Written(path) => path,
                    Place::Nothing => return Err(untracked(&shown, snapshot)),
                    Place::Outside => return Err(outside(&shown)),
                };
            }
        }
    }
    Ok(placed)
}

/// The digest of the directory that OpenTofu is given from the repository.
fn recipes(environment: &Environment, snapshot: &Snapshot<'_>) -> BTreeMap<String, String> {
    let found = recipe(environment).and_then(|(name, directory)| match snapshot.find(&directory) {
        Found::Directory(at) => Some((format!("{SETTING}{name}"), snapshot.tree.digest(&at))),
        _ => None,
    });
    found.into_iter().collect()
}

/// The directory that OpenTofu is given from: a module, or templates of the user's own.
fn recipe(environment: &Environment) -> Option<(&'static str, Utf8PathBuf)> {
    let provision = environment.provision.as_ref()?;
    match &provision.machine {
        Machine::Module(Module { source: ModuleSource::Directory(path), .. }) => {
            Some(("files of the module", path.clone()))
        }
        Machine::Module(_) => None,
        machine => Some(("templates of the machine", provision.templates.join(machine.name()))),
    }
}

/// Adds the digests of files that the manifest names for hosts: scripts, and the key of a package repository.
fn texts_of_hosts(environment: &Environment, state: &mut State) {
    for script in environment.scripts.iter().filter(|script| script.file.is_some()) {
        let facts = state.0.entry(Kind::Scripts).or_default();
        facts.insert(format!("{SETTING}text of {}", script.name), digest(&script.run));
    }
    if let Some(repository) = environment.engine.repository.as_ref().filter(|one| !one.key.is_empty()) {
        let facts = state.0.entry(Kind::Engine).or_default();
        facts.insert(format!("{SETTING}key of the package repository"), digest(&repository.key));
    }
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// Returns the failure that explains why the tree has no file at a path.
fn untracked(path: &str, snapshot: &Snapshot<'_>) -> Failure {
    let failed = |message| Failure::new(Reason::ApplicationInvalid, message);
    let whole = checked::plain_path(&snapshot.root.join(path));
    match snapshot.find(&whole) {
        Found::Submodule(module, _) => {
            failed(format!("{path} is in the Git submodule {module}, and submodules are not compared"))
                .hint("To have the application's files reviewed, keep them in the repository of the manifest")
        }
        _ => failed(format!("Git tracks no file at {path}"))
            .hint(format!("A review reads only what Git tracks: git add {path}")),
    }
}

/// Returns a path as the manifest has it, for messages.
fn shown(path: &Utf8Path, snapshot: &Snapshot<'_>) -> String {
    path.strip_prefix(&snapshot.root).unwrap_or(path).to_string()
}

fn outside(path: &str) -> Failure {
    Failure::new(Reason::ApplicationInvalid, format!("{path} is outside the repository, or a link leads outside"))
        .hint("A review reads only what Git tracks: move the files into the repository of the manifest")
}

fn links_below(directory: &Utf8Path, snapshot: &Snapshot<'_>) -> BTreeMap<Utf8PathBuf, Link> {
    let Ok(directory) = directory.strip_prefix(&snapshot.root) else { return BTreeMap::new() };
    let below =
        |(path, link): (&Utf8PathBuf, &Link)| Some((path.strip_prefix(directory).ok()?.to_owned(), link.clone()));
    snapshot.links.iter().filter_map(below).collect()
}

/// The source of a value as settings show it: a secret that the manifest holds by a digest.
fn told(source: &SecretSource, key: &DigestKey, content: Option<String>) -> Value {
    let mut told = match source {
        SecretSource::Literal { value, secret: true } => {
            json!(format!("keyed:{}", key.digest(blake3::hash(value.as_bytes()).as_bytes())))
        }
        source => manifest::value(source),
    };
    let public = match source {
        SecretSource::Environment { secret, .. }
        | SecretSource::File { secret, .. }
        | SecretSource::Command { secret, .. } => !secret,
        SecretSource::Literal { .. } => false,
    };
    if public {
        told["secret"] = json!(false);
    }
    if let Some(content) = content {
        told["content"] = json!(content);
    }
    told
}

/// Returns the kind whose steps apply a setting.
fn kind_of(setting: &str) -> Kind {
    match setting.split(['.', ' ']).next().unwrap_or_default() {
        "provisioned" | "state_passphrase" => Kind::Infrastructure,
        "registered" | "ssh" | "public_addresses" => Kind::Access,
        "configure" => Kind::Engine,
        "application" => Kind::Files,
        "registries" => Kind::Images,
        _ => Kind::Services,
    }
}

/// Returns the texts of files that may be shown. A file that needs an unknown value is compared by its sources: its
/// template, which is shown, or for `.env` the file with the sources of all variables.
fn texts(prepared: &Prepared, root: &Utf8Path, facts: &mut Facts) -> BTreeMap<Utf8PathBuf, String> {
    let mut texts = BTreeMap::new();
    let Some((release, application)) = prepared.release.as_ref().zip(prepared.environment.application.as_ref()) else {
        return texts;
    };
    let key = &prepared.fallback_key;
    let template_of = |path: &Utf8Path| Utf8PathBuf::from(format!("{path}{}", template::SUFFIX));
    let is_waiting = |name: &Utf8Path| {
        let path = name.as_str().strip_suffix(template::SUFFIX).map(Utf8Path::new);
        path.and_then(|path| release.files.get(path)).is_some_and(|file| file.sha256.is_none())
    };
    for (path, file) in &release.files {
        if let Some(sha256) = &file.sha256 {
            if file.seed {
                facts.insert(path.to_string(), format!("seed {:04o} keyed:{}", file.mode, key.digest(sha256)));
            }
            texts.extend(annotate::text(file).filter(|_| !file.secret).map(|text| (path.clone(), text)));
        } else if path == ENV {
            let own =
                [template_of(path), path.clone()].into_iter().find_map(|name| release.sources.get_key_value(&name));
            let made_from = format!("{own:?} {:?}", written(application, root));
            let digest = key.digest(blake3::hash(made_from.as_bytes()).as_bytes());
            facts.insert(path.to_string(), format!("{:04o} keyed:{digest}", file.mode));
        } else if let Some(text) = release.sources.get(&template_of(path)) {
            facts.insert(path.to_string(), format!("{:04o} template {}", file.mode, digest(text)));
            texts.insert(path.clone(), text.clone());
        }
    }
    if !release.sources.keys().any(|name| is_waiting(name)) {
        return texts;
    }
    // A file that needs an unknown value may include templates whose changes do not show in the file's own template.
    for (name, text) in release.sources.iter().filter(|(name, _)| *name != ENV && !is_waiting(name)) {
        facts.insert(format!("{SETTING}template {name}"), digest(text));
    }
    texts
}

/// Returns the variables with their sources in the manifest, including secret values.
fn written<'a>(application: &'a Application, root: &Utf8Path) -> Vec<(&'a str, &'static str, String)> {
    let told = |source: &SecretSource| match source {
        SecretSource::Literal { value, .. } => ("", value.clone()),
        SecretSource::Environment { name, .. } => ("from_env", name.clone()),
        SecretSource::File { path, .. } => ("from_file", path.strip_prefix(root).unwrap_or(path).to_string()),
        SecretSource::Command { argv, .. } => {
            ("from_command", format!("{argv:?}").replace(&format!("\"{root}/"), "\"./"))
        }
    };
    let all = application.variables.iter().map(|(name, source)| (name.as_str(), told(source)));
    all.map(|(name, (kind, text))| (name, kind, text)).collect()
}

/// Shows each link together with the file that it leads to. That file may be outside the application's directory, so
/// it is compared here as well. A file with a secret stays unchanged.
fn show_links(
    prepared: &Prepared,
    links: &BTreeMap<Utf8PathBuf, Link>,
    facts: &mut Facts,
    texts: &mut BTreeMap<Utf8PathBuf, String>,
) {
    let files = prepared.release.as_ref().map(|release| &release.files);
    let secret = |path: &Utf8Path| files.and_then(|files| files.get(path)).is_some_and(|file| file.secret);
    for (path, link) in links.iter().filter(|(path, _)| !secret(path)) {
        let behind = facts.get(path.as_str()).map_or(String::new(), |value| format!(", {value}"));
        facts.insert(path.to_string(), format!("link to {}{behind}", link.target));
        let text = texts.remove(path).unwrap_or_default();
        texts.insert(path.clone(), format!("{}\n{text}", link.target));
    }
}

/// Returns the failure with the snapshot's paths replaced by the repository's.
pub fn relocated(failure: Failure, snapshot: &Utf8Path, repository: &str) -> Failure {
    let there = |text: String| text.replace(&format!("{snapshot}/"), repository).replace(snapshot.as_str(), repository);
    Failure {
        message: there(failure.message),
        hint: failure.hint.map(there),
        details: failure.details.map(there),
        location: failure.location.map(|at| crate::model::failure::Location { file: there(at.file), ..at }),
        ..failure
    }
}
