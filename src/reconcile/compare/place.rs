//! Writes the source files of one environment into a snapshot.

use super::git_tree::{Entry, Found, leads_out};
use super::named::recipe;
use super::snapshot::{Link, Object, Place, Snapshot};
use crate::manifest::environment::{Environment, Source};
use crate::manifest::tracker::Issuer;
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::release::{Rules, image_name};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};

/// An environment whose files were written into the snapshot.
pub struct Placed {
    /// The environment, with paths in the snapshot.
    pub environment: Environment,
    /// Image → the object id of its archive.
    pub archives: BTreeMap<String, String>,
    /// The files in the repository that OpenTofu uses: what it is → a digest.
    pub recipes: BTreeMap<String, String>,
    /// The links of the application, by their paths in it.
    pub links: BTreeMap<Utf8PathBuf, Link>,
    /// The objects of the application's files, by their paths in it.
    pub objects: BTreeMap<Utf8PathBuf, Object>,
    /// The image archives of the environment that are in the application, by their paths in it. They are not sent as
    /// files.
    pub archived: BTreeSet<Utf8PathBuf>,
    /// Links that `apply` may send and whose targets are not in the repository: path in the tree → reason.
    pub astray: BTreeMap<String, String>,
}

/// Writes the source files of an environment into the snapshot, and changes its paths to them.
pub async fn place(environment: &Environment, snapshot: &mut Snapshot<'_>) -> Result<Placed, Failure> {
    let mut placed = Placed {
        environment: environment.clone(),
        archives: BTreeMap::new(),
        recipes: recipes(environment, snapshot),
        links: BTreeMap::new(),
        objects: BTreeMap::new(),
        archived: BTreeSet::new(),
        astray: BTreeMap::new(),
    };
    let Some(application) = &mut placed.environment.application else { return Ok(placed) };
    let mut archived = BTreeSet::new();
    for (image, path) in std::mem::take(&mut application.archives) {
        if let Some((at, Entry { id, .. })) = snapshot.find(&path).file() {
            placed.archives.insert(image_name::familiar(&image), format!("archive {id}"));
            archived.insert(at);
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
            placed.links = below(&compose.directory, &snapshot.links, snapshot);
            placed.objects = below(&compose.directory, &snapshot.objects, snapshot);
            let archived = archived.into_iter().map(|at| (at, ())).collect();
            placed.archived = below(&compose.directory, &archived, snapshot).into_keys().collect();
            placed.astray = astray(&compose.directory, snapshot);
            compose.copies = placed.links.keys().cloned().collect();
        }
        Source::Tracker(tracker) => {
            let shown = shown(&tracker.templates, snapshot);
            match snapshot.write(&tracker.templates).await? {
                Place::Written(path) => {
                    placed.astray = astray(&path, snapshot);
                    tracker.templates = path;
                }
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

/// Returns the digest of the directory that OpenTofu uses.
fn recipes(environment: &Environment, snapshot: &Snapshot<'_>) -> BTreeMap<String, String> {
    let digest = |(name, directory): (&str, Utf8PathBuf)| {
        let at = snapshot.find(&directory).directory()?;
        Some((name.to_owned(), snapshot.tree.digest(&at)))
    };
    recipe(environment).and_then(digest).into_iter().collect()
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

/// Returns what is below a directory of the snapshot, by its path there.
fn below<T: Clone>(
    directory: &Utf8Path,
    all: &BTreeMap<Utf8PathBuf, T>,
    snapshot: &Snapshot<'_>,
) -> BTreeMap<Utf8PathBuf, T> {
    let Ok(directory) = directory.strip_prefix(&snapshot.root) else { return BTreeMap::new() };
    let below = |(path, one): (&Utf8PathBuf, &T)| Some((path.strip_prefix(directory).ok()?.to_owned(), one.clone()));
    all.iter().filter_map(below).collect()
}

/// Returns the links below a directory of the snapshot that lead to nothing in the tree and may be sent.
fn astray(directory: &Utf8Path, snapshot: &Snapshot<'_>) -> BTreeMap<String, String> {
    let rules = Rules::of(directory, directory).ok();
    // Nobody knows whether such a link leads to a directory.
    let is_left_out = |path: &Utf8Path| {
        rules.as_ref().is_some_and(|rules| [false, true].iter().all(|is| rules.verdict_below(path, *is).is_some()))
    };
    let links = below(directory, &snapshot.links, snapshot).into_iter();
    let links = links.filter(|(path, link)| !link.inside && !is_left_out(path));
    let shown = |path: &Utf8Path| shown(&directory.join(path), snapshot);
    links.map(|(path, link)| (shown(&path), leads_out(&link.target))).collect()
}
