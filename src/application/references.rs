//! The files that Compose files name: which of them hold secrets, and which must be sent. Never judges a Compose file.

use super::compose_files::within;
use super::interpolation::{Text, Values};
use super::yaml::{Id, Tree};
use camino::{Utf8Path, Utf8PathBuf};
use globset::{Glob, GlobMatcher};

/// One file or directory that a Compose file names.
pub struct Reference {
    /// Its purpose.
    pub role: Role,
    /// Which it is.
    pub target: Target,
    /// True where Compose goes on without it.
    pub optional: bool,
}

/// The purpose for which a Compose file names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Variables of services, of included files.
    EnvFile,
    /// A secret.
    Secret,
    /// A config, a file of labels.
    Config,
    /// A part of a container's file system.
    Mount,
    /// A Compose file that is included.
    Included,
    /// A Compose file whose services are extended.
    Extended,
}

/// Which file or directory is named, below the application's directory.
pub enum Target {
    /// This one.
    Path(Utf8PathBuf),
    /// All that may be meant, where a variable is not known.
    Glob(GlobMatcher),
}

impl Reference {
    /// Says whether it is about this file, or about a directory above it.
    pub fn covers(&self, file: &Utf8Path) -> bool {
        match &self.target {
            Target::Path(path) => file.starts_with(path),
            Target::Glob(glob) => file.ancestors().any(|above| glob.is_match(above)),
        }
    }

    /// Says whether the file that it names holds secrets.
    pub const fn is_secret(&self) -> bool {
        matches!(self.role, Role::EnvFile | Role::Secret)
    }

    /// The path, where it is known, and is not the whole directory.
    pub fn path(&self) -> Option<&Utf8Path> {
        match &self.target {
            Target::Path(path) => Some(path.as_path()).filter(|path| *path != ""),
            Target::Glob(_) => None,
        }
    }
}

/// Where paths of Compose files lead.
pub struct Paths<'a> {
    /// The values of variables.
    pub values: &'a Values,
    /// The application's directory on the host.
    pub host_directory: &'a Utf8Path,
}

/// Returns the files that one document of a Compose file names; `base` is the directory its paths are relative to.
pub fn of(tree: &Tree, root: Id, base: &Utf8Path, paths: &Paths<'_>) -> Vec<Reference> {
    let mut found = Found { tree, base, paths, references: Vec::new() };
    for (key, role) in [("secrets", Role::Secret), ("configs", Role::Config)] {
        for entry in found.below(root, key) {
            found.at(entry, "file", role);
        }
    }
    for service in found.below(root, "services") {
        found.listed(service, "env_file", Role::EnvFile);
        found.listed(service, "label_file", Role::Config);
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
        match tree.get(include, "path") {
            Some((_, path)) => tree.items(path).into_iter().for_each(|path| found.named(path, Role::Included)),
            None => found.named(include, Role::Included),
        }
    }
    found.references
}

struct Found<'a> {
    tree: &'a Tree,
    base: &'a Utf8Path,
    paths: &'a Paths<'a>,
    references: Vec<Reference>,
}

impl Found<'_> {
    /// The values of a mapping's entry that is a mapping itself.
    fn below(&self, id: Id, key: &str) -> Vec<Id> {
        let section = self.tree.get(id, key).map(|(_, section)| self.tree.entries(section));
        section.into_iter().flatten().map(|(_, (_, value))| value).collect()
    }

    /// The items of a mapping's entry.
    fn items(&self, id: Id, key: &str) -> Vec<Id> {
        self.tree.get(id, key).map(|(_, list)| self.tree.items(list)).unwrap_or_default()
    }

    /// The file that one entry names.
    fn at(&mut self, id: Id, key: &str, role: Role) {
        if let Some((_, value)) = self.tree.get(id, key) {
            self.named(value, role);
        }
    }

    /// One file or several, each its name or a mapping with its `path`.
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
        if let Some(text) = self.tree.text(id) {
            self.add(self.paths.values.fill(text), role);
        }
    }

    /// `SOURCE:TARGET[:MODE]`, or a mapping with its `source`.
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
        match self.paths.values.fill(text) {
            Text::Known(text) if is_path(&text) => self.add(Text::Known(source(&text)), Role::Mount),
            _ => {}
        }
    }

    fn add(&mut self, text: Text, role: Role) {
        let target = match text {
            Text::Known(text) => {
                let path = Utf8Path::new(&text);
                let own = path.strip_prefix(self.paths.host_directory).ok().filter(|_| path.is_absolute());
                own.map_or_else(|| within(self.base, path), |own| within(Utf8Path::new(""), own)).map(Target::Path)
            }
            Text::Glob(text) => {
                let text = text.trim_start_matches("./");
                let text = if text.starts_with('*') || self.base == "" {
                    text.to_owned()
                } else {
                    globset::escape(self.base.as_str()) + "/" + text
                };
                Glob::new(&text).ok().map(|glob| Target::Glob(glob.compile_matcher()))
            }
        };
        self.references.extend(target.map(|target| Reference { role, target, optional: false }));
    }
}
