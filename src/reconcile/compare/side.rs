//! One environment as one of two commits has it. Its values are those that the manifest itself holds.

use super::snapshot::{Link, Place, Snapshot};
use super::tree::{Entry, Found};
use crate::manifest::environment::{Environment, Source};
use crate::manifest::provision::{Machine, Module, ModuleSource};
use crate::manifest::tracker::Issuer;
use crate::manifest::{self, Manifest};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Facts, Kind, State};
use crate::plan::saved;
use crate::reconcile::annotate;
use crate::reconcile::prepare::{self, Prepared, Resolve};
use crate::release::image_name;
use crate::release::template;
use crate::resource::contract::record::DigestKey;
use crate::resource::{self, HostFacts};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;

/// The beginning of facts that are settings of the manifest's entry.
pub const SETTING: &str = "setting ";

/// One environment as one of the two manifests has it.
pub struct Side {
    /// The environment and its release.
    pub prepared: Prepared,
    /// The state that the manifest and the release ask for.
    pub state: State,
    /// The texts that may be shown, by the file they become.
    pub texts: BTreeMap<Utf8PathBuf, String>,
    /// The links of the application, by their paths in it.
    pub links: BTreeMap<Utf8PathBuf, Link>,
}

/// An environment whose files were written into the snapshot.
struct Placed {
    environment: Environment,
    /// Image → the object that is its archive.
    archives: BTreeMap<String, String>,
    /// The files that OpenTofu is given from the repository: the fact's name → a digest.
    recipes: BTreeMap<String, String>,
    links: BTreeMap<Utf8PathBuf, Link>,
}

/// Reads one environment of a manifest that was parsed with paths below the snapshot's directory.
pub async fn side(
    environment: &Environment,
    manifest: &Manifest,
    snapshot: &mut Snapshot<'_>,
    key: &DigestKey,
) -> Result<Side, Vec<Failure>> {
    let Placed { environment: placed, archives, recipes, links } =
        place(environment, snapshot).await.map_err(|failure| vec![failure])?;
    let mut prepared = prepare::prepare(placed, Resolve::Literals, &|_, _| {}).await?;
    prepared.fallback_key = key.clone();
    // What every supported host has.
    let mut facts = HostFacts::default();
    facts.access.systemd = true;
    let mut state = resource::desired(&prepared.subject(), &facts);
    state.0.entry(Kind::Images).or_default().extend(archives);
    state.0.entry(Kind::Infrastructure).or_default().extend(recipes);
    texts_of_hosts(environment, &mut state);
    let told = manifest::describe(environment);
    let directory = &manifest.directory;
    for (setting, value) in saved::settings(&told[prepared.name()], directory, &[]) {
        let own = state.0.entry(kind_of(&setting)).or_default();
        own.insert(format!("{SETTING}{setting}"), value.replace(&format!("\"{directory}\""), "\".\""));
    }
    let mut texts = texts(&prepared, state.0.entry(Kind::Files).or_default());
    show_links(&prepared, &links, state.0.entry(Kind::Files).or_default(), &mut texts);
    Ok(Side { prepared, state, texts, links })
}

/// Writes what an environment is rendered from, and leads its paths there.
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
                Place::Nothing => return Err(untracked(&shown)),
                Place::Outside => return Err(outside(&shown)),
            };
            placed.links = links_below(&compose.directory, snapshot);
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
                    Place::Nothing => return Err(untracked(&shown)),
                    Place::Outside => return Err(outside(&shown)),
                };
            }
        }
    }
    Ok(placed)
}

/// The digests of the directories that OpenTofu is given from: a module, templates of the user's own.
fn recipes(environment: &Environment, snapshot: &Snapshot<'_>) -> BTreeMap<String, String> {
    let Some(provision) = &environment.provision else { return BTreeMap::new() };
    let (name, directory) = match &provision.machine {
        Machine::Module(Module { source: ModuleSource::Directory(path), .. }) => ("files of the module", path.clone()),
        Machine::Module(_) => return BTreeMap::new(),
        machine => ("templates of the machine", provision.templates.join(machine.name())),
    };
    match snapshot.find(&directory) {
        Found::Directory(at) => BTreeMap::from([(format!("{SETTING}{name}"), snapshot.tree.digest(&at))]),
        _ => BTreeMap::new(),
    }
}

/// Adds the digests of what files hold that the manifest names for hosts: scripts, and the key of a package repository.
fn texts_of_hosts(environment: &Environment, state: &mut State) {
    let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
    for script in environment.scripts.iter().filter(|script| script.file.is_some()) {
        let facts = state.0.entry(Kind::Scripts).or_default();
        facts.insert(format!("{SETTING}text of {}", script.name), digest(&script.run));
    }
    if let Some(repository) = environment.engine.repository.as_ref().filter(|one| !one.key.is_empty()) {
        let facts = state.0.entry(Kind::Engine).or_default();
        facts.insert(format!("{SETTING}key of the package repository"), digest(&repository.key));
    }
}

/// A path as the manifest has it, for messages.
fn shown(path: &Utf8Path, snapshot: &Snapshot<'_>) -> String {
    path.strip_prefix(&snapshot.root).unwrap_or(path).to_string()
}

fn untracked(path: &str) -> Failure {
    Failure::new(Reason::ApplicationInvalid, format!("Git tracks no file at {path}"))
        .hint(format!("A review reads only what Git tracks: git add {path}"))
}

fn outside(path: &str) -> Failure {
    Failure::new(Reason::ApplicationInvalid, format!("{path} is outside of the repository, or a link leads it there"))
        .hint("A review reads only what Git tracks: move the files into the repository of the manifest")
}

fn links_below(directory: &Utf8Path, snapshot: &Snapshot<'_>) -> BTreeMap<Utf8PathBuf, Link> {
    let Ok(directory) = directory.strip_prefix(&snapshot.root) else { return BTreeMap::new() };
    let below =
        |(path, link): (&Utf8PathBuf, &Link)| Some((path.strip_prefix(directory).ok()?.to_owned(), link.clone()));
    snapshot.links.iter().filter_map(below).collect()
}

/// The kind whose steps bring a setting about.
fn kind_of(setting: &str) -> Kind {
    match setting.split(['.', ' ']).next().unwrap_or_default() {
        "provisioned" => Kind::Infrastructure,
        "registered" | "ssh" | "public_addresses" => Kind::Access,
        "configure" => Kind::Engine,
        "application" => Kind::Files,
        _ => Kind::Services,
    }
}

/// The texts of files that may be shown. A file that waits for a secret is compared, and shown, as the template that it
/// is made from.
fn texts(prepared: &Prepared, facts: &mut Facts) -> BTreeMap<Utf8PathBuf, String> {
    let mut texts = BTreeMap::new();
    let Some((release, application)) = prepared.release.as_ref().zip(prepared.environment.application.as_ref()) else {
        return texts;
    };
    for (path, file) in release.files.iter().filter(|(_, file)| !file.seed) {
        if file.sha256.is_some() {
            texts.extend(annotate::text(file).filter(|_| !file.secret).map(|text| (path.clone(), text)));
            continue;
        }
        let template = application.directory().map(|own| own.join(format!("{path}{}", template::SUFFIX)));
        if let Some(text) = template.and_then(|template| std::fs::read_to_string(template).ok()) {
            let digest = blake3::hash(text.as_bytes()).to_hex();
            facts.insert(path.to_string(), format!("{:04o} template {}", file.mode, &digest[..32]));
            texts.insert(path.clone(), text);
        }
    }
    texts
}

/// Puts links in the place of the files that they lead to. What holds a secret stays as it is.
fn show_links(
    prepared: &Prepared,
    links: &BTreeMap<Utf8PathBuf, Link>,
    facts: &mut Facts,
    texts: &mut BTreeMap<Utf8PathBuf, String>,
) {
    let files = prepared.release.as_ref().map(|release| &release.files);
    let secret = |path: &Utf8Path| files.and_then(|files| files.get(path)).is_some_and(|file| file.secret);
    for (path, link) in links.iter().filter(|(path, _)| !secret(path)) {
        facts.retain(|fact, _| !Utf8Path::new(fact).starts_with(path));
        texts.retain(|file, _| !file.starts_with(path));
        facts.insert(path.to_string(), format!("link to {}", link.target));
        texts.insert(path.clone(), format!("{}\n", link.target));
    }
}

/// The failure with paths of the repository in place of those of the snapshot.
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
