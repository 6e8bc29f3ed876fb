//! Claims as the host reports them, and conflicts between the claims of two environments.

use super::MOST;
use crate::manifest::environment::{Application, Environment};
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use camino::Utf8PathBuf;
use std::collections::BTreeSet;

/// Conflict between the claims of two environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The environments have the same Compose project.
    Project,
    /// The environments have the same directory, possibly through a link or a bind mount.
    Same,
    /// The directory of this environment is inside the other's.
    Inside,
    /// The directory of this environment contains the other's.
    Around,
}

/// Another environment of the host whose claim conflicts with this environment's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The kind of conflict.
    pub relation: Relation,
    /// The other environment as `PROJECT/ENV`, or its identity if it has no marker.
    owner: String,
    /// The other environment's project or directory.
    value: String,
}

impl Neighbour {
    /// Reads `RELATION OWNER VALUE`. Returns `None` if the text does not have this form.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let (relation, owner, value) = (words.next()?, words.next()?, words.next()?);
        let relation = match relation {
            "project" => Relation::Project,
            "same" => Relation::Same,
            "inside" => Relation::Inside,
            "around" => Relation::Around,
            _ => return None,
        };
        let valid = if relation == Relation::Project { checked::is_plain } else { checked::is_absolute };
        let named = owner.split('/').count() <= 2 && owner.split('/').all(checked::is_plain);
        (named && valid(value)).then(|| Self { relation, owner: owner.to_owned(), value: checked::said(value) })
    }

    /// Returns the failure that refuses the environment because of this conflict.
    pub(super) fn refuse(&self, environment: &Environment, application: &Application) -> Failure {
        let Self { relation, owner, value } = self;
        let (own, name) = (&application.host_directory, &environment.name);
        let found = match relation {
            Relation::Project => format!("Compose project {value} on the host belongs to {owner}"),
            Relation::Same if own.as_str() == value => format!("{own} on the host belongs to {owner}"),
            Relation::Same => format!("{own} on the host is {value}, which belongs to {owner}"),
            Relation::Inside => format!("{own} on the host is inside {value}, which belongs to {owner}"),
            Relation::Around => format!("{own} on the host contains {value}, which belongs to {owner}"),
        };
        let key = if *relation == Relation::Project { "project" } else { "host_directory" };
        Failure::new(Reason::MarkerMismatch, format!("{found}; {}/{name} cannot use it", environment.project)).hint(
            format!("Give {name} another `{key}`, or take it from {owner} with: deployer apply {name} --take-over"),
        )
    }
}

/// Claims that were read from the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// True if the host has a claims file for the environment, even an empty one. Former versions wrote none.
    pub(super) noted: bool,
    /// The environment's own Compose projects.
    pub(super) projects: BTreeSet<String>,
    /// The environment's own directories.
    pub(super) directories: BTreeSet<Utf8PathBuf>,
    /// Those of these directories whose real path the host recorded when they were claimed. Former versions recorded
    /// none.
    pub(super) traced: BTreeSet<Utf8PathBuf>,
    /// True if root cannot enter the manifest's directory without following a link that is not root's.
    pub(super) astray: bool,
    /// The environments that conflict with this one.
    pub(super) neighbours: Vec<Neighbour>,
    /// The application's directory when the environment was removed from the host and data stayed there.
    pub(super) kept: Option<Utf8PathBuf>,
    /// The mount points below the application's directory.
    pub(super) mounts: BTreeSet<Utf8PathBuf>,
}

impl Seen {
    /// Records that the host has a claims file for the environment.
    pub const fn note(&mut self) {
        self.noted = true;
    }

    /// Records that root cannot enter the manifest's directory.
    pub const fn stray(&mut self) {
        self.astray = true;
    }

    /// Adds one of the environment's own claims from its line.
    pub fn own(&mut self, claim: &str) {
        match claim.split_once(' ') {
            Some(("project", name)) if checked::is_plain(name) => _ = self.projects.insert(name.to_owned()),
            Some(("directory", path)) if checked::is_absolute(path) => _ = self.directories.insert(path.into()),
            Some(("real", paths)) => {
                let path = paths.split_once("//").map(|(path, _)| path).filter(|path| checked::is_absolute(path));
                self.traced.extend(path.map(Utf8PathBuf::from));
            }
            _ => {}
        }
    }

    /// Notes the directory that a removal kept, from its line.
    pub fn keep(&mut self, path: &str) {
        self.kept = Some(path).filter(|path| checked::is_absolute(path)).map(Into::into);
    }

    /// Adds a mount point below the application's directory from its line.
    pub fn mount(&mut self, path: &str) {
        self.mounts.extend(Some(path).filter(|path| checked::is_absolute(path)).map(Utf8PathBuf::from));
    }

    /// Adds a conflict from its line. Returns false if the line cannot be read.
    pub fn conflict(&mut self, line: &str) -> bool {
        let neighbour = Neighbour::parse(line).filter(|_| self.neighbours.len() < MOST);
        let read = neighbour.is_some();
        self.neighbours.extend(neighbour);
        read
    }

    pub(super) fn conflict_in(&self, relation: Relation) -> bool {
        self.neighbours.iter().any(|neighbour| neighbour.relation == relation)
    }

    /// Returns the conflicts as observed facts. A plan that ends the conflicts removes these facts.
    pub fn conflicts(&self) -> impl Iterator<Item = (String, String)> {
        let fact = |neighbour: &Neighbour| (format!("claim on {}", neighbour.value), neighbour.owner.clone());
        self.neighbours.iter().map(fact)
    }
}
