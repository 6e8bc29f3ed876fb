//! Finds the directories that services are built from and the files that Compose files name, if they are written
//! literally, and has each Compose file checked. Checks no values: `docker compose config` does that on the host.

use super::compose_files::within;
use super::content::text;
use super::published::{self, Published};
use super::references::{self, Paths, Reference, Role};
use super::sent::{Content, File};
use super::specification::{self, MOST, Mistake};
use super::yaml::{self, Id, Place, Tree};
use super::{ENV, Files, invalid};
use crate::model::failure::{Failure, Location};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

/// The builds and files of the Compose files.
#[derive(Default)]
pub struct Scanned {
    /// The paths of the release that builds read. An empty path means the whole release.
    pub contexts: BTreeSet<Utf8PathBuf>,
    /// The files that the Compose files name.
    pub references: Vec<Reference>,
    /// The ports that services without a profile publish literally.
    pub published: Vec<Published>,
    /// The name of the project, if the Compose files set one, and its place. Included files cannot set it.
    pub name: Option<(String, Location)>,
    /// A failure for every service that reads more than the release, and for every Compose file that is not YAML.
    pub failures: Vec<Failure>,
}

/// The most lines of ports that are kept for one application.
const PORTS: usize = 1000;

/// The longest chain of files that include each other, and of services that extend each other.
const DEEPEST: usize = 100;

/// Reads the Compose files and the files that they include and extend, within the budget of `places`.
pub fn scan(directory: &Utf8Path, compose_files: &[String], files: &Files, places: &Paths<'_>) -> Scanned {
    let (read, seen, extended) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let beyond = BTreeSet::new();
    let mut scan =
        Scan { directory, files, places, read, seen, extended, beyond, room: PORTS, found: Scanned::default() };
    let paths: Vec<Utf8PathBuf> = compose_files.iter().map(Utf8PathBuf::from).collect();
    // The application's directory is Compose's project directory, even if the Compose files are in a folder below it.
    scan.models(paths);
    scan.found
}

/// Returns true if the context of a build is a URL, by the same test as Docker's.
#[must_use]
pub fn is_remote(context: &str) -> bool {
    context.contains("://") || ["git@", "github.com/"].iter().any(|prefix| context.starts_with(prefix))
}

/// Returns true if the URL of a Git repository names a commit, which cannot move.
#[must_use]
pub fn pinned(url: &str) -> bool {
    let commit = url.split_once('#').map_or("", |(_, reference)| reference.split(':').next().unwrap_or_default());
    commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit())
}

struct Document {
    path: Utf8PathBuf,
    text: Arc<str>,
    secret: bool,
    /// True if the text was made from a template.
    rendered: bool,
    tree: Tree,
    /// The values that contain variables.
    texts: BTreeSet<Id>,
}

impl Document {
    /// Returns a hint about a line of the text. The line of a template is another one.
    fn advice(&self, hint: String) -> String {
        if self.rendered { format!("{hint}. {RENDERED}") } else { hint }
    }
}

/// A Compose model: several files merged in order.
struct Model {
    paths: Vec<Utf8PathBuf>,
    /// The directory that its paths are relative to.
    base: Utf8PathBuf,
    /// True if another model includes it.
    included: bool,
    /// True if variables may have other values than those in the application's `.env`.
    own_env: bool,
}

/// The place that a service is built from.
struct Site {
    document: Rc<Document>,
    /// The context as written, its position in the file, and the directory it is relative to.
    context: Option<(String, Place, Utf8PathBuf)>,
    /// True if the build reads more than its context.
    wide: bool,
}

/// The ports of each service of a model, and true if the service has a profile.
type Ports = BTreeMap<String, (bool, Vec<Published>)>;

struct Scan<'a> {
    directory: &'a Utf8Path,
    files: &'a Files,
    places: &'a Paths<'a>,
    read: BTreeMap<Utf8PathBuf, Option<Rc<Document>>>,
    seen: BTreeSet<Utf8PathBuf>,
    extended: BTreeSet<Utf8PathBuf>,
    /// Files that exceed a limit and were reported.
    beyond: BTreeSet<Utf8PathBuf>,
    /// Number of lines of ports that can still be kept.
    room: usize,
    found: Scanned,
}

impl Site {
    /// Returns this site, completed from the site in an earlier file.
    fn over(self, under: Self) -> Self {
        let wide = self.wide || under.wide;
        if self.context.is_some() { Self { wide, ..self } } else { Self { wide, ..under } }
    }
}

impl Scan<'_> {
    /// Reads Compose models: the given files, then the files that they include.
    fn models(&mut self, paths: Vec<Utf8PathBuf>) {
        let mut waiting = vec![(Model { paths, base: Utf8PathBuf::new(), included: false, own_env: false }, 0)];
        while let Some((mut model, depth)) = waiting.pop() {
            if depth > 0 {
                model.paths.retain(|path| !self.seen.contains(path));
            }
            if let Some(path) = model.paths.first().filter(|_| depth > DEEPEST) {
                self.refuse(path, &format!("is included through more than {DEEPEST} files"), "Include it directly");
                return;
            }
            let included = self.model(&model);
            waiting.extend(included.into_iter().rev().map(|model| (model, depth + 1)));
        }
    }

    /// Adds a failure for a Compose file that exceeds a limit, once for each file.
    fn refuse(&mut self, path: &Utf8Path, why: &str, hint: &str) {
        if self.beyond.insert(path.to_owned()) {
            let failure = invalid(format!("{} {why}", self.directory.join(path)));
            self.found.failures.push(failure.hint(hint));
        }
    }

    /// Returns true if the budget is not spent after reading `path`. Otherwise adds a failure, once.
    fn goes_on(&mut self, path: &Utf8Path) -> bool {
        let spent = self.places.budget.is_spent();
        if spent && self.beyond.is_empty() {
            let hint = "Use fewer aliases, merges and extends in it, or split the application";
            self.refuse(
                path,
                "and the Compose files before it name more files than deployer reads for one application",
                hint,
            );
        }
        !spent
    }

    /// Reads one Compose model, and returns the models that it includes.
    fn model(&mut self, model: &Model) -> Vec<Model> {
        let mut sites: BTreeMap<String, Site> = BTreeMap::new();
        let mut ports = Ports::default();
        let mut included = Vec::new();
        let base = &model.base;
        for path in &model.paths {
            self.seen.insert(path.clone());
            let Some(document) = self.document(path) else { continue };
            if !model.own_env && self.found.failures.len() < MOST {
                let values = self.places.values;
                self.report(&document, specification::unset(&document.tree, &document.texts, values, document.secret));
            }
            self.refer(Rc::clone(&document), base.clone());
            let tree = &document.tree;
            for &root in &tree.documents {
                if let Some((id, name)) = tree.get(root, "name").filter(|_| !model.included) {
                    let name = tree.text(name).map(str::to_owned);
                    self.found.name = name.map(|name| (name, self.at(&document, id))).or(self.found.name.take());
                }
                for (name, service) in services(tree, root, &mut sites, &mut ports) {
                    self.publish(&document, service, &name, &mut ports);
                    if let Some(mut site) = self.site(&document, base, service) {
                        if let Some(under) = sites.remove(&name) {
                            site = site.over(under);
                        }
                        sites.insert(name, site);
                    }
                }
                if let Some((_, include)) = tree.get(root, "include") {
                    included.extend(tree.items(include).into_iter().map(|id| self.inclusion(tree, id, base)));
                }
            }
            if !self.goes_on(path) {
                return Vec::new();
            }
        }
        let always = ports.into_values().filter(|(optional, _)| !optional).flat_map(|(_, published)| published);
        self.found.published.extend(always);
        for (service, site) in sites {
            match self.place(&service, &site) {
                Ok(place) => self.found.contexts.extend(place),
                Err(failure) => self.found.failures.push(failure),
            }
        }
        included
    }

    /// Adds what one document says about the ports of a service.
    fn publish(&mut self, document: &Document, service: Id, name: &str, ports: &mut Ports) {
        let tree = &document.tree;
        let (optional, published) = ports.entry(name.to_owned()).or_default();
        *optional |= tree.get(service, "profiles").is_some();
        let Some((_, list)) = tree.get(service, "ports") else { return };
        if replaces(tree, list) {
            published.clear();
        }
        if !tree.has_tag(list, RESET) {
            let items = tree.items(list).into_iter().take(self.room);
            let before = published.len();
            published.extend(items.filter_map(|item| published::of(tree, item, name, self.at(document, item))));
            self.room -= published.len() - before;
        }
    }

    /// Returns the model of one `include:` entry. Files whose names are not known are omitted.
    fn inclusion(&self, tree: &Tree, id: Id, base: &Utf8Path) -> Model {
        let named = |id: Id| self.places.known(tree.text(id)?, base);
        let paths = tree.get(id, "path").map_or(id, |(_, path)| path);
        let paths: Vec<Utf8PathBuf> = tree.items(paths).into_iter().filter_map(named).collect();
        let own = tree.get(id, "project_directory").and_then(|(_, value)| named(value));
        let parent = || paths.first().and_then(|path| path.parent()).unwrap_or(Utf8Path::new("")).to_owned();
        let base = own.unwrap_or_else(parent);
        let own_env = tree.get(id, "env_file").is_some() || (base != "" && self.files.contains_key(&base.join(ENV)));
        Model { paths, base, included: true, own_env }
    }

    /// Records the files that a Compose file names, and those in the files that its services extend.
    fn refer(&mut self, document: Rc<Document>, base: Utf8PathBuf) {
        let mut waiting = vec![(document, base)];
        while let Some((document, base)) = waiting.pop() {
            for &root in &document.tree.documents {
                let named = match references::of(&document.tree, root, &base, self.places) {
                    Ok(named) => named,
                    Err((id, why)) => {
                        self.found.failures.push(self.no_name(&document, id, &why));
                        continue;
                    }
                };
                // Each name is compared with each file of the release.
                self.places.budget.take(named.len() * (1 + self.files.len() / 64));
                let extended = named.iter().filter(|one| one.role == Role::Extended).filter_map(Reference::path);
                for path in extended {
                    if self.extended.insert(path.to_owned())
                        && let Some(other) = self.document(path)
                    {
                        waiting.push((other, path.parent().unwrap_or(Utf8Path::new("")).to_owned()));
                    }
                }
                self.found.references.extend(named);
            }
            if !self.goes_on(&document.path) {
                return;
            }
        }
    }

    /// Returns the failure for a text that cannot be the name of a file.
    fn no_name(&self, document: &Document, id: Id, why: &str) -> Failure {
        let at = self.at(document, id);
        invalid(format!("The name of a file in {} {why}", at.file)).at(at).hint("Name the file itself")
    }

    /// Finds the `build:` of a service, or of a service that it extends.
    fn site(&mut self, document: &Rc<Document>, base: &Utf8Path, service: Id) -> Option<Site> {
        let mut seen = BTreeSet::new();
        let (mut document, mut base, mut service) = (Rc::clone(document), base.to_owned(), service);
        while seen.insert((document.path.clone(), service)) {
            if seen.len() > DEEPEST {
                let why = format!("has a service that extends others through more than {DEEPEST}");
                self.refuse(&document.path, &why, "Extend the last of them directly");
                return None;
            }
            let tree = &document.tree;
            if let Some((_, build)) = tree.get(service, "build") {
                return self.built(&document, &base, build);
            }
            let (_, extends) = tree.get(service, "extends")?;
            let part = |key| tree.get(extends, key).and_then(|(_, value)| tree.text(value));
            let name = tree.text(extends).or_else(|| part("service"))?;
            let (other, other_base) = match part("file") {
                None => (Rc::clone(&document), base),
                Some(file) => {
                    let path = within(&base, Utf8Path::new(file))?;
                    let base = path.parent().unwrap_or(Utf8Path::new("")).to_owned();
                    (self.document(&path)?, base)
                }
            };
            let found = other.tree.documents.iter().rev().find_map(|&root| {
                let (_, services) = other.tree.get(root, "services")?;
                other.tree.get(services, name)
            });
            (service, base) = (found?.1, other_base);
            document = other;
        }
        None
    }

    /// Reads a `build:` section. Returns `None` if the section is empty.
    fn built(&self, document: &Rc<Document>, base: &Utf8Path, build: Id) -> Option<Site> {
        let tree = &document.tree;
        let empty = tree.is_null(build) || tree.has_tag(build, RESET);
        let node = tree.get(build, "context").map_or(build, |(_, context)| context);
        let text = tree.text(node).filter(|text| self.places.budget.copy(text.len()));
        let context = text.map(|text| (text.to_owned(), tree.node(node).place.clone(), base.to_owned()));
        let wide = ["additional_contexts", "dockerfile"].iter().any(|key| tree.get(build, key).is_some());
        (!empty).then(|| Site { document: Rc::clone(document), context, wide })
    }

    /// Returns a file of the release as YAML. Returns `None` if the file is missing, its content is not known yet or it
    /// does not parse; a parse error is reported once.
    fn document(&mut self, path: &Utf8Path) -> Option<Rc<Document>> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let document = match self.files.get(path) {
            Some(file) if file.sha256.is_some() => match self.parse(path, file) {
                Ok(document) => Some(document),
                Err(failure) => {
                    self.found.failures.push(failure);
                    None
                }
            },
            _ => None,
        };
        self.read.insert(path.to_owned(), document.clone());
        document
    }

    /// Adds a failure for each mistake in a Compose file, unless there are many failures already.
    fn report(&mut self, document: &Document, mistakes: Vec<Mistake>) {
        for mistake in mistakes.into_iter().take(MOST.saturating_sub(self.found.failures.len())) {
            let mut at = self.at(document, mistake.id);
            at.narrow(&document.text, &mistake.part);
            self.found.failures.push(invalid(mistake.message).at(at).hint(document.advice(mistake.hint)));
        }
    }

    fn parse(&mut self, path: &Utf8Path, file: &File) -> Result<Rc<Document>, Failure> {
        let text: Arc<str> = text(self.directory, path, file)?.into();
        match yaml::parse(&text, &self.places.budget) {
            Ok(tree) => {
                let (path, secret) = (path.to_owned(), file.secret);
                let rendered = matches!(file.content, Content::Bytes(_));
                let (mistakes, texts) = specification::check(&tree);
                let document = Document { path, text, secret, rendered, tree, texts };
                self.report(&document, mistakes);
                Ok(Rc::new(document))
            }
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

    /// Returns the part of the release that a build reads, or `None` if the build reads a Git commit.
    fn place(&self, service: &str, site: &Site) -> Result<Option<Utf8PathBuf>, Failure> {
        let all = Some(Utf8PathBuf::new());
        let Some((context, place, base)) = site.context.as_ref().filter(|(context, ..)| !context.contains('$')) else {
            return Ok(all);
        };
        let refused = |why: &str, hint: &str| {
            let document = &site.document;
            let source = (!document.secret).then(|| Arc::clone(&document.text));
            let at = self.location(&document.path, place.clone(), source);
            Err(invalid(format!("The service {service} is built from {context}, {why}")).at(at).hint(hint))
        };
        if is_remote(context) {
            let hint = "Write URL#COMMIT, with all 40 digits: a branch or a tag may move";
            return if pinned(context) { Ok(None) } else { refused("which names no commit", hint) };
        }
        let found = within(base, Utf8Path::new(context)).filter(|_| !context.starts_with('~'));
        let Some(path) = found else {
            let hint = "Move it there: build contexts are sent with the application";
            return refused("which is outside the application's directory", hint);
        };
        let first = self.files.range::<Utf8Path, _>((Bound::Included(path.as_path()), Bound::Unbounded)).next();
        if !first.is_some_and(|(file, _)| file.starts_with(&path)) {
            return refused("where no file exists", "The context is relative to the application's directory");
        }
        Ok(if site.wide { all } else { Some(path) })
    }

    /// Returns the location of a node. The source is not shown if it is secret.
    fn at(&self, document: &Document, id: Id) -> Location {
        let source = (!document.secret).then(|| Arc::clone(&document.text));
        self.location(&document.path, document.tree.node(id).place.clone(), source)
    }

    fn location(&self, path: &Utf8Path, place: Place, source: Option<Arc<str>>) -> Location {
        let file = self.directory.join(path).into_string();
        Location { file, line: place.line, column: place.column, span: place.span, source }
    }
}

const RESET: &str = "!reset";

const RENDERED: &str = "The line is in the rendered text, which deployer render writes; fix its template";

/// Returns true if a node replaces the same node of the earlier files.
fn replaces(tree: &Tree, id: Id) -> bool {
    tree.has_tag(id, RESET) || tree.has_tag(id, "!override")
}

/// Returns the services of one document, and removes from `sites` and `ports` the services that the document replaces
/// or resets.
fn services(tree: &Tree, root: Id, sites: &mut BTreeMap<String, Site>, ports: &mut Ports) -> Vec<(String, Id)> {
    let Some((_, services)) = tree.get(root, "services") else { return Vec::new() };
    if replaces(tree, services) {
        sites.clear();
        ports.clear();
    }
    let mut kept = Vec::new();
    for (name, (_, service)) in tree.entries(services) {
        let build = tree.get(service, "build").map(|(_, value)| value);
        if replaces(tree, service) || build.is_some_and(|build| replaces(tree, build)) {
            sites.remove(name);
        }
        if replaces(tree, service) {
            ports.remove(name);
        }
        if !tree.has_tag(services, RESET) && !tree.has_tag(service, RESET) {
            kept.push((name.to_owned(), service));
        }
    }
    kept
}
