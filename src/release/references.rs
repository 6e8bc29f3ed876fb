//! Finds the files that Compose files name, and their roles: some hold secrets, and some must be sent. Checks nothing
//! else in a Compose file.

use super::budget::Budget;
use super::compose_files::within;
use super::interpolation::{Text, Values};
use super::pattern;
use super::yaml::{Id, Tree};
use camino::{Utf8Path, Utf8PathBuf};
use globset::GlobSet;
use std::collections::BTreeSet;
use std::rc::Rc;

/// One file or directory that a Compose file names.
pub struct Reference {
    /// The purpose of the file.
    pub role: Role,
    /// The file or directory.
    pub target: Target,
    /// True if Compose continues without the file.
    pub optional: bool,
}

/// The purpose for which a Compose file names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A file of variables for services or included files.
    EnvFile,
    /// A secret.
    Secret,
    /// A config.
    Config,
    /// A file of labels for services.
    Labels,
    /// A seccomp profile, which limits the system calls of containers.
    Seccomp,
    /// A part of a container's file system.
    Mount,
    /// A Compose file that is included.
    Included,
    /// A Compose file whose services are extended.
    Extended,
}

impl Role {
    /// Returns the role of a file, as the end of a sentence about it, if Compose itself parses the file.
    pub const fn parsed(self) -> Option<&'static str> {
        match self {
            Self::EnvFile => Some("an env_file of a Compose file"),
            Self::Labels => Some("a label_file of a Compose file"),
            Self::Seccomp => Some("a seccomp profile of a Compose file"),
            Self::Included => Some("included by a Compose file"),
            Self::Extended => Some("extended by a Compose file"),
            Self::Secret | Self::Config | Self::Mount => None,
        }
    }
}

/// The file or directory that is named, relative to the application's directory.
pub enum Target {
    /// The exact path.
    Path(Utf8PathBuf),
    /// Every path that may be meant, if a variable is not known.
    Glob(GlobSet),
}

impl Reference {
    /// Returns true if the reference names this file or a directory above it.
    pub fn covers(&self, file: &Utf8Path) -> bool {
        match &self.target {
            Target::Path(path) => file.starts_with(path),
            Target::Glob(glob) => file.ancestors().any(|above| glob.is_match(above)),
        }
    }

    /// Returns true if the named file holds secrets.
    pub const fn is_secret(&self) -> bool {
        matches!(self.role, Role::EnvFile | Role::Secret)
    }

    /// Returns the path if it is known and is not the whole directory.
    pub fn path(&self) -> Option<&Utf8Path> {
        match &self.target {
            Target::Path(path) => Some(path.as_path()).filter(|path| *path != ""),
            Target::Glob(_) => None,
        }
    }
}

/// The values and directories that paths of Compose files are resolved with.
pub struct Paths<'a> {
    /// The values of variables.
    pub values: &'a Values,
    /// The application's directory on the host.
    pub host_directory: &'a Utf8Path,
    /// The steps that may still be taken.
    pub budget: Rc<Budget>,
}

impl Paths<'_> {
    /// Returns the path below the application's directory that a text of a Compose file names, if all variables in the
    /// text are known.
    pub fn known(&self, text: &str, base: &Utf8Path) -> Option<Utf8PathBuf> {
        match self.budget.copy(text.len()).then(|| self.values.fill(text))?.ok()? {
            Text::Known(text) => self.below(&text, base),
            Text::Glob(_) => None,
        }
    }

    /// Resolves a path of a Compose file to a path below the application's directory. An absolute path in the
    /// application's directory on the host is also resolved.
    fn below(&self, text: &str, base: &Utf8Path) -> Option<Utf8PathBuf> {
        if !self.budget.copy(text.len() + base.as_str().len()) {
            return None;
        }
        let path = Utf8Path::new(text);
        let own = path.strip_prefix(self.host_directory).ok().filter(|_| path.is_absolute());
        own.map_or_else(|| within(base, path), |own| within(Utf8Path::new(""), own))
    }
}

/// Returns the files that one document of a Compose file names; `base` is the directory its paths are relative to.
///
/// # Errors
/// A text cannot be the name of a file. The reason is the end of a sentence about the text. Only the first one is
/// returned.
pub fn of(tree: &Tree, root: Id, base: &Utf8Path, paths: &Paths<'_>) -> Result<Vec<Reference>, (Id, String)> {
    let mut found = Found { tree, base, paths, references: Vec::new(), refused: None };
    for (key, role) in [("secrets", Role::Secret), ("configs", Role::Config)] {
        for entry in found.below(root, key) {
            found.at(entry, "file", role);
        }
    }
    for service in found.below(root, "services") {
        found.listed(service, "env_file", Role::EnvFile);
        found.listed(service, "label_file", Role::Labels);
        for option in found.items(service, "security_opt") {
            found.seccomp(option);
        }
        for mount in found.items(service, "volumes") {
            found.mount(mount);
        }
        if let Some((_, extends)) = tree.get(service, "extends") {
            found.at(extends, "file", Role::Extended);
        }
    }
    for volume in found.below(root, "volumes") {
        if let Some((_, options)) = tree.get(volume, "driver_opts") {
            found.at(options, "device", Role::Mount);
        }
    }
    for include in found.items(root, "include") {
        found.listed(include, "env_file", Role::EnvFile);
        if tree.get(include, "env_file").is_none() {
            found.variables(include);
        }
        match tree.get(include, "path") {
            Some((_, path)) => tree.items(path).into_iter().for_each(|path| found.named(path, Role::Included)),
            None => found.named(include, Role::Included),
        }
    }
    found.refused.map_or(Ok(found.references), Err)
}

struct Found<'a> {
    tree: &'a Tree,
    base: &'a Utf8Path,
    paths: &'a Paths<'a>,
    references: Vec<Reference>,
    refused: Option<(Id, String)>,
}

impl Found<'_> {
    /// Returns the values in a mapping at `key`, each once, even if several aliases lead to it.
    fn below(&self, id: Id, key: &str) -> BTreeSet<Id> {
        let section = self.tree.get(id, key).map(|(_, section)| self.tree.entries(section));
        section.into_iter().flatten().map(|(_, (_, value))| value).collect()
    }

    /// Returns the items of a mapping's entry.
    fn items(&self, id: Id, key: &str) -> Vec<Id> {
        self.tree.get(id, key).map(|(_, list)| self.tree.items(list)).unwrap_or_default()
    }

    /// Adds the file that one entry names.
    fn at(&mut self, id: Id, key: &str, role: Role) {
        if let Some((_, value)) = self.tree.get(id, key) {
            self.named(value, role);
        }
    }

    /// Adds one file or several. Each is its name or a mapping with a `path`.
    fn listed(&mut self, id: Id, key: &str, role: Role) {
        for item in self.items(id, key) {
            let (path, optional) = match self.tree.get(item, "path") {
                Some((_, path)) => {
                    let required = self.tree.get(item, "required").and_then(|(_, value)| self.tree.text(value));
                    (path, required == Some("false"))
                }
                None => (item, false),
            };
            let from = self.references.len();
            self.named(path, role);
            self.references[from..].iter_mut().for_each(|reference| reference.optional = optional);
        }
    }

    fn named(&mut self, id: Id, role: Role) {
        self.named_below(id, "", role);
    }

    /// Adds the file at the named path with `below` appended.
    fn named_below(&mut self, id: Id, below: &str, role: Role) {
        if let Some(text) = self.tree.text(id).and_then(|text| self.filled(id, text)) {
            let text = match text {
                Text::Known(text) => Text::Known(text + below),
                Text::Glob(text) => Text::Glob(text + below),
            };
            self.add(id, text, role);
        }
    }

    /// Adds the default file of variables of an included project that names none.
    fn variables(&mut self, include: Id) {
        let part = |key| self.tree.get(include, key).map(|(_, value)| value);
        let from = self.references.len();
        let path = || self.tree.items(part("path").unwrap_or(include)).into_iter().next();
        let place =
            part("project_directory").map(|directory| (directory, "/.env")).or_else(|| Some((path()?, "/../.env")));
        if let Some((id, below)) = place {
            self.named_below(id, below, Role::EnvFile);
        }
        self.references[from..].iter_mut().for_each(|reference| reference.optional = true);
    }

    /// Adds the file of `seccomp:FILE` or `seccomp=FILE`.
    fn seccomp(&mut self, id: Id) {
        let Some(text) = self.tree.text(id).and_then(|text| text.strip_prefix("seccomp")) else { return };
        let file = text.strip_prefix([':', '=']).filter(|file| !matches!(*file, "unconfined" | "builtin"));
        if let Some(file) = file.and_then(|file| self.filled(id, file)) {
            self.add(id, file, Role::Seccomp);
        }
    }

    fn filled(&mut self, id: Id, text: &str) -> Option<Text> {
        let filled = self.paths.budget.copy(text.len()).then(|| self.paths.values.fill(text))?;
        filled.map_err(|why| self.refuse(id, why)).ok()
    }

    fn refuse(&mut self, id: Id, why: String) {
        self.refused.get_or_insert((id, why));
    }

    /// Adds the source of `SOURCE:TARGET[:MODE]`, or of a mapping with a `source`.
    fn mount(&mut self, id: Id) {
        let Some(text) = self.tree.text(id) else {
            let kind = self.tree.get(id, "type").and_then(|(_, kind)| self.tree.text(kind));
            if kind != Some("volume") {
                self.at(id, "source", Role::Mount);
            }
            return;
        };
        let source = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
        // A name without a slash is a volume.
        let is_path = |text: &str| text.starts_with(['.', '/']);
        match self.filled(id, text) {
            Some(Text::Known(text)) if is_path(&text) => self.add(id, Text::Known(source(&text)), Role::Mount),
            _ => {}
        }
    }

    fn add(&mut self, id: Id, text: Text, role: Role) {
        let target = match text {
            Text::Known(text) => self.paths.below(&text, self.base).map(Target::Path),
            Text::Glob(text) => {
                let Some(text) = self.pattern(&text) else { return };
                // A compiled pattern is larger than its text.
                let compiled = self.paths.budget.take(1 + text.len()).then(|| pattern::compile(&text, false));
                let compiled = compiled.transpose().map_err(|why| self.refuse(id, format!("is not a pattern: {why}")));
                compiled.ok().flatten().map(Target::Glob)
            }
        };
        self.references.extend(target.map(|target| Reference { role, target, optional: false }));
    }

    /// Returns a pattern, relative to the application's directory, of every path that a text with unknown variables may
    /// mean. Returns `None` if all of these paths are certainly outside.
    fn pattern(&self, text: &str) -> Option<String> {
        let own = globset::escape(self.paths.host_directory.as_str()) + "/";
        if let Some(below) = text.strip_prefix(&own) {
            return Some(below.to_owned());
        }
        let known = text.split('*').next().unwrap_or_default();
        if known.starts_with('/') {
            return own.starts_with(known).then(|| "*".to_owned());
        }
        let text = text.trim_start_matches("./");
        let odd = text.split('/').any(|part| matches!(part, "" | "." | ".."));
        Some(match self.base.as_str() {
            // The target of `..` next to a variable is unknown.
            _ if odd => "*".to_owned(),
            base if base.is_empty() || text.starts_with('*') => text.to_owned(),
            base => globset::escape(base) + "/" + text,
        })
    }
}
