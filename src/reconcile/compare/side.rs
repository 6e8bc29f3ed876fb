//! One environment in one of two commits. Only values in the manifest itself are resolved.

use super::named::{content, contents, gaps, named, programs, recipe};
use super::place::{Placed, place};
use super::snapshot::{Link, Object, Snapshot};
use super::working_tree::LARGEST;
use crate::manifest::environment::{Application, Environment};
use crate::manifest::{self, Manifest};
use crate::model::failure::{Failure, Reason};
use crate::model::secret::SecretSource;
use crate::model::state::{Facts, Kind, State};
use crate::plan::saved;
use crate::reconcile::annotate;
use crate::reconcile::prepare::{self, Prepared, Resolve};
use crate::release::sent::{Content, File};
use crate::release::{ENV, template};
use crate::resource::contract::record::DigestKey;
use crate::resource::{self, HostFacts};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The prefix of facts that are no files of a release. No path contains it, and it is not shown.
pub const ASIDE: char = '\0';
/// The prefix of facts that are settings of the manifest's entry.
const SETTING: &str = "\0setting ";
/// The beginning of the fact of a link.
const LINK: &str = "link to ";

/// One environment in one of the two manifests.
pub struct Side {
    /// The environment and its release.
    pub prepared: Prepared,
    /// The state that the manifest and the release ask for.
    pub state: State,
    /// The small texts that may be shown, by the path of the file in the release.
    pub texts: BTreeMap<Utf8PathBuf, String>,
    /// The links of the application, by their paths in it.
    pub links: BTreeMap<Utf8PathBuf, Link>,
    /// The objects of the application's files, by their paths in it.
    pub objects: BTreeMap<Utf8PathBuf, Object>,
    /// Parts of the manifest that are not compared: path in the tree → reason.
    pub gaps: BTreeMap<String, String>,
    /// The name of what may read or run any file of the repository for the environment.
    pub programs: Option<&'static str>,
    /// The paths in the tree whose bytes are facts of the environment.
    pub covered: BTreeSet<String>,
}

impl Side {
    /// Returns a file of the release.
    pub fn file(&self, path: &Utf8Path) -> Option<&File> {
        self.prepared.release.as_ref()?.files.get(path)
    }

    /// Returns the text of a file of the release that may be shown. With `even_if_secret`, also that of a file that
    /// everybody may read and that the repository holds in plain text.
    pub fn text(&self, path: &Utf8Path, even_if_secret: bool) -> Option<String> {
        if let Some(text) = self.texts.get(path) {
            return Some(text.clone());
        }
        let file = self.file(path).filter(|file| file.sha256.is_some())?;
        let is_plain = || matches!(file.content, Content::Path(_)) && file.mode & 0o077 != 0;
        if file.secret && !(even_if_secret && is_plain()) {
            return None;
        }
        let text = annotate::text_within(file, LARGEST)?;
        Some(match self.links.get(path).filter(|_| !file.secret) {
            Some(link) => format!("{}\n{text}", link.target),
            None => text,
        })
    }

    /// Returns the files of the release that need a value and that no fact represents.
    pub fn uncompared(&self) -> impl Iterator<Item = String> {
        let facts = self.state.0.get(&Kind::Files);
        let files = self.prepared.release.iter().flat_map(|release| &release.files);
        let paths = files.filter(|(_, file)| file.sha256.is_none()).map(|(path, _)| path.to_string());
        paths.filter(move |path| facts.is_none_or(|facts| !facts.contains_key(path)))
    }
}

/// Reads one environment of a manifest that was parsed with paths below the snapshot's directory. `own` has the paths
/// of the manifest and of the texts that it names.
pub async fn side(
    environment: &Environment,
    manifest: &Manifest,
    own: &[Utf8PathBuf],
    snapshot: &mut Snapshot<'_>,
    key: &DigestKey,
) -> Result<Side, Vec<Failure>> {
    let mut named = named(environment, manifest);
    let mut contents = contents(&named, snapshot, key);
    named.extend(own.iter().map(|path| (Kind::Access, path.clone())));
    // Files that commands may read are not sent.
    let sent = || named.iter().filter(|(kind, _)| *kind != Kind::Access);
    let paths = || sent().filter_map(|(_, path)| path.strip_prefix(&snapshot.root).ok());
    if let Some(name) = snapshot.tree.refused_below(&snapshot.tree.reached(paths()).directories) {
        let failure = Failure::new(
            Reason::ApplicationInvalid,
            format!("The name of {name} is not UTF-8, or is one that Git uses"),
        );
        return Err(vec![failure.hint("Rename it: files with such names cannot be sent")]);
    }
    let gaps = gaps(&named, snapshot);
    let Placed { environment: placed, archives, recipes, links, objects, archived, astray } =
        place(environment, snapshot).await.map_err(|failure| vec![failure])?;
    let mut prepared = prepare::prepare(placed, Resolve::Literals, &|_, _| {}).await?;
    prepared.fallback_key = key.clone();
    prepared.release.iter_mut().for_each(|release| release.files.retain(|path, _| !archived.contains(path)));
    let programs = programs(environment, manifest, snapshot);
    if programs.is_some() {
        // Programs read the bytes of what deployer itself compares by its meaning.
        let read_as_text = own.iter().cloned().chain(templates(&prepared));
        let found = read_as_text.filter_map(|path| content(&path, snapshot, key));
        contents.extend(found.map(|(path, content)| (Kind::Access, path, content)));
    }
    let mut covered: BTreeSet<String> = contents.iter().map(|(_, path, _)| path.clone()).collect();
    covered.extend(compared_whole(environment, snapshot));
    // Every supported host has systemd.
    let mut facts = HostFacts::default();
    facts.access.systemd = true;
    let mut state = resource::desired(&prepared.subject(), &facts);
    state.0.entry(Kind::Images).or_default().extend(archives);
    let recipes = recipes.into_iter().map(|(name, digest)| (format!("{SETTING}{name}"), digest));
    state.0.entry(Kind::Infrastructure).or_default().extend(recipes);
    texts_of_hosts(environment, &mut state);
    for (kind, path, content) in contents {
        state.0.entry(kind).or_default().insert(format!("{ASIDE}content of {path}"), content);
    }
    let value = |source: &SecretSource| told(source, key);
    let own = &manifest::describe_with(environment, &value)[prepared.name()];
    let shared = manifest::describe_shared(manifest, environment, &value);
    let directory = &manifest.directory;
    for (setting, value) in [own, &shared].into_iter().flat_map(|entry| saved::settings(entry, directory)) {
        let own = state.0.entry(kind_of(&setting)).or_default();
        own.insert(format!("{SETTING}{setting}"), value.replace(&format!("\"{directory}\""), "\".\""));
    }
    let mut texts = texts(&prepared, &snapshot.root, state.0.entry(Kind::Files).or_default());
    show_links(&prepared, &links, state.0.entry(Kind::Files).or_default(), &mut texts);
    for (kind, gaps) in &gaps {
        let facts = gaps.iter().map(|(path, why)| (format!("{ASIDE}./{path}"), why.clone()));
        state.0.entry(*kind).or_default().extend(facts);
    }
    let gaps = gaps.into_values().flatten().chain(astray).collect();
    snapshot.tree.unspent().map_err(|failure| vec![failure])?;
    covered.extend(compared_files(&prepared, &links, &state, snapshot));
    Ok(Side { prepared, state, texts, links, objects, gaps, programs, covered })
}

/// Returns the paths in the snapshot at which the templates of the application and its `.env` are, if they exist.
fn templates(prepared: &Prepared) -> Vec<Utf8PathBuf> {
    let Some((release, directory)) = prepared.release.as_ref().zip(directory(prepared)) else { return Vec::new() };
    let rendered = release.files.iter().filter(|(_, file)| matches!(file.content, Content::Bytes(_)));
    let templates = rendered.map(|(path, _)| format!("{}{}", directory.join(path), template::SUFFIX).into());
    templates.chain([directory.join(ENV)]).collect()
}

fn directory(prepared: &Prepared) -> Option<&Utf8Path> {
    prepared.environment.application.as_ref().and_then(Application::directory)
}

/// Returns the paths in the tree of the files that OpenTofu uses. The digest of their directory is a fact.
fn compared_whole(environment: &Environment, snapshot: &Snapshot<'_>) -> BTreeSet<String> {
    let recipe = recipe(environment);
    let path = recipe.as_ref().and_then(|(_, path)| path.strip_prefix(&snapshot.root).ok());
    snapshot.tree.reached(path).entries
}

/// Returns the paths in the tree of the files and links that a release sends as they are, if they are facts.
fn compared_files(
    prepared: &Prepared,
    links: &BTreeMap<Utf8PathBuf, Link>,
    state: &State,
    snapshot: &Snapshot<'_>,
) -> BTreeSet<String> {
    let directory = directory(prepared).and_then(|directory| directory.strip_prefix(&snapshot.root).ok());
    let (Some(directory), Some(facts)) = (directory, state.0.get(&Kind::Files)) else { return BTreeSet::new() };
    let files = prepared.release.iter().flat_map(|release| &release.files);
    let sent = files.filter(|(_, file)| matches!(file.content, Content::Path(_))).map(|(path, _)| path);
    let links = links.keys().filter(|path| facts.get(path.as_str()).is_some_and(|value| value.starts_with(LINK)));
    // Values of the manifest alone can make `.env`.
    let compared = sent.filter(|path| *path != ENV && facts.contains_key(path.as_str())).chain(links);
    compared.map(|path| directory.join(path).into_string()).collect()
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

/// Returns the settings of an environment of which a manifest says nothing but its address.
pub fn usual(name: &str) -> Facts {
    let text =
        format!("version: 1\nproject: {name}\nenvironments: {{ {name}: {{ registered: {{ address: {name} }} }} }}\n");
    let parsed = manifest::parse_with(&text, "", Utf8Path::new("/"), None, &mut |_| None);
    let environments = parsed.into_iter().flat_map(|manifest| manifest.environments.into_values());
    let told = environments.map(|environment| manifest::describe(&environment)[name].take());
    let settings = told.flat_map(|told| saved::settings(&told, Utf8Path::new("/")));
    settings.map(|(setting, value)| (format!("{SETTING}{setting}"), value)).collect()
}

/// Returns the source of a value as settings show it. A digest replaces a secret that the manifest itself contains.
fn told(source: &SecretSource, key: &DigestKey) -> Value {
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
    let is_file = |path: &Utf8Path| files.is_some_and(|files| files.contains_key(path));
    for (path, link) in links.iter().filter(|(path, _)| !secret(path)) {
        let behind = facts.get(path.as_str()).map_or(String::new(), |value| format!(", {value}"));
        facts.insert(path.to_string(), format!("{LINK}{}{behind}", link.target));
        let text = texts.remove(path);
        if text.is_some() || !is_file(path) {
            texts.insert(path.clone(), format!("{}\n{}", link.target, text.unwrap_or_default()));
        }
    }
}

/// Returns the failure with the snapshot's paths replaced by the repository's.
pub fn relocated(mut failure: Failure, snapshot: &Utf8Path, repository: &str) -> Failure {
    let there = |text: &mut String| {
        *text = text.replace(&format!("{snapshot}/"), repository).replace(snapshot.as_str(), repository);
    };
    failure.each_text(there);
    failure.location.iter_mut().for_each(|at| there(&mut at.file));
    failure
}
