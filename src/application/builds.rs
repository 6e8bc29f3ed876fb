//! Refuses services that are to be built, until deployer builds them. Never judges anything else of a
//! Compose file: that is for `docker compose config` on the host.

use super::compose::text;
use super::compose_files::within;
use super::release::{Content, File};
use super::yaml::{self, Id, Place, Tree};
use super::{Files, invalid};
use crate::failure::{Failure, Location};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// A failure for every service that would be built, at its `build:`; and for every Compose file that is
/// not YAML.
pub fn refuse(directory: &Utf8Path, compose_files: &[String], files: &Files) -> Vec<Failure> {
    let mut scan = Scan { directory, files, read: BTreeMap::new(), seen: BTreeSet::new(), failures: Vec::new() };
    let paths: Vec<Utf8PathBuf> = compose_files.iter().map(Utf8PathBuf::from).collect();
    let base = paths.first().and_then(|path| path.parent()).unwrap_or(Utf8Path::new("")).to_owned();
    scan.model(&paths, &base);
    scan.failures
}

/// One file that was read.
struct Document {
    path: Utf8PathBuf,
    text: Arc<str>,
    secret: bool,
    tree: Tree,
}

/// Where a service says `build:`.
struct Site {
    document: Rc<Document>,
    place: Place,
}

struct Scan<'a> {
    directory: &'a Utf8Path,
    files: &'a Files,
    read: BTreeMap<Utf8PathBuf, Option<Rc<Document>>>,
    seen: BTreeSet<Utf8PathBuf>,
    failures: Vec<Failure>,
}

impl Scan<'_> {
    /// One Compose model: files laid over each other, then what they include. `base` is the directory its
    /// paths are relative to.
    fn model(&mut self, paths: &[Utf8PathBuf], base: &Utf8Path) {
        let mut sites: BTreeMap<String, Site> = BTreeMap::new();
        let mut included = Vec::new();
        for path in paths {
            self.seen.insert(path.clone());
            let Some(document) = self.document(path) else { continue };
            let tree = &document.tree;
            for &root in &tree.documents {
                for (name, service) in services(tree, root, &mut sites) {
                    if let Some(site) = self.site(&document, base, service, &mut BTreeSet::new()) {
                        sites.insert(name, site);
                    }
                }
                if let Some((_, include)) = tree.get(root, "include") {
                    included.extend(tree.items(include).into_iter().map(|id| inclusion(tree, id, base)));
                }
            }
        }
        for (service, site) in sites {
            self.failures.push(self.refused(&service, &site));
        }
        for (paths, base) in included {
            let fresh: Vec<Utf8PathBuf> = paths.into_iter().filter(|path| !self.seen.contains(path)).collect();
            self.model(&fresh, &base);
        }
    }

    /// Where a service, or the one it extends, says `build:`.
    fn site(
        &mut self,
        document: &Rc<Document>,
        base: &Utf8Path,
        service: Id,
        seen: &mut BTreeSet<(Utf8PathBuf, Id)>,
    ) -> Option<Site> {
        let tree = &document.tree;
        if !seen.insert((document.path.clone(), service)) {
            return None;
        }
        if let Some((key, build)) = tree.get(service, "build") {
            let empty = tree.is_null(build) || tree.has_tag(build, RESET);
            return (!empty).then(|| Site { document: Rc::clone(document), place: tree.node(key).place.clone() });
        }
        let (_, extends) = tree.get(service, "extends")?;
        let part = |key| tree.get(extends, key).and_then(|(_, value)| tree.text(value));
        let name = tree.text(extends).or_else(|| part("service"))?;
        let (other, base) = match part("file") {
            None => (Rc::clone(document), base.to_owned()),
            Some(file) => {
                let path = within(base, Utf8Path::new(file))?;
                let base = path.parent().unwrap_or(Utf8Path::new("")).to_owned();
                (self.document(&path)?, base)
            }
        };
        let found = other.tree.documents.iter().rev().find_map(|&root| {
            let (_, services) = other.tree.get(root, "services")?;
            other.tree.get(services, name)
        });
        let (_, service) = found?;
        self.site(&other, &base, service, seen)
    }

    /// A file of the release as YAML; `None` where it is none, is not known yet or does not parse, which
    /// is reported once.
    fn document(&mut self, path: &Utf8Path) -> Option<Rc<Document>> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let document = match self.files.get(path) {
            Some(file) if file.sha256.is_some() => self.parse(path, file).map_err(|f| self.failures.push(f)).ok(),
            _ => None,
        };
        self.read.insert(path.to_owned(), document.clone());
        document
    }

    fn parse(&self, path: &Utf8Path, file: &File) -> Result<Rc<Document>, Failure> {
        let text: Arc<str> = text(self.directory, path, file)?.into();
        match yaml::parse(&text) {
            Ok(tree) => Ok(Rc::new(Document { path: path.to_owned(), text, secret: file.secret, tree })),
            Err(error) => {
                let marker = error.marker();
                let at = marker.byte_offset().map(|at| at.min(text.len()));
                let place = Place { line: marker.line(), column: marker.col() + 1, span: at.map(|at| at..at) };
                let location = self.location(path, place, (!file.secret).then_some(text));
                let told = if file.secret { String::new() } else { format!(": {}", error.info()) };
                let message = format!("{} is not YAML{told}", location.file);
                let failure = invalid(message).at(location);
                Err(if matches!(file.content, Content::Bytes(_)) { failure.hint(RENDERED) } else { failure })
            }
        }
    }

    fn refused(&self, service: &str, site: &Site) -> Failure {
        let document = &site.document;
        let source = (!document.secret).then(|| Arc::clone(&document.text));
        let location = self.location(&document.path, site.place.clone(), source);
        let message = format!("The service {service} uses build, which deployer does not do yet");
        let hint = "Build the image first and ship it: docker save IMAGE -o FILE, and name the file under \
                    application.compose.archives";
        invalid(message).at(location).hint(hint)
    }

    fn location(&self, path: &Utf8Path, place: Place, source: Option<Arc<str>>) -> Location {
        let file = self.directory.join(path).into_string();
        Location { file, line: place.line, column: place.column, span: place.span, source }
    }
}

const RESET: &str = "!reset";

const RENDERED: &str = "The place is in the rendered text, which deployer render writes; mend its template";

/// Whether a node takes the place of what the files before it said.
fn replaces(tree: &Tree, id: Id) -> bool {
    tree.has_tag(id, RESET) || tree.has_tag(id, "!override")
}

/// The services of one document; what it takes away from the files before it leaves `sites`.
fn services(tree: &Tree, root: Id, sites: &mut BTreeMap<String, Site>) -> Vec<(String, Id)> {
    let Some((_, services)) = tree.get(root, "services") else { return Vec::new() };
    if replaces(tree, services) {
        sites.clear();
    }
    let mut kept = Vec::new();
    for (name, (_, service)) in tree.entries(services) {
        let build = tree.get(service, "build").map(|(_, value)| value);
        if replaces(tree, service) || build.is_some_and(|build| replaces(tree, build)) {
            sites.remove(name);
        }
        if !tree.has_tag(services, RESET) && !tree.has_tag(service, RESET) {
            kept.push((name.to_owned(), service));
        }
    }
    kept
}

/// The files of one `include:` entry, and the directory their paths are relative to.
fn inclusion(tree: &Tree, id: Id, base: &Utf8Path) -> (Vec<Utf8PathBuf>, Utf8PathBuf) {
    let paths = tree.get(id, "path").map_or(id, |(_, path)| path);
    let names = tree.items(paths).into_iter().filter_map(|path| tree.text(path));
    let paths: Vec<Utf8PathBuf> = names.filter_map(|name| within(base, Utf8Path::new(name))).collect();
    let own = tree.get(id, "project_directory").and_then(|(_, value)| tree.text(value));
    let own = own.and_then(|name| within(base, Utf8Path::new(name)));
    let parent = || paths.first().and_then(|path| path.parent()).unwrap_or(Utf8Path::new("")).to_owned();
    let base = own.unwrap_or_else(parent);
    (paths, base)
}
