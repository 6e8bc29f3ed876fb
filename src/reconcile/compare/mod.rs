//! Compares the manifest and the rendered files of two Git trees for a review, without any host.
//!
//! ```text
//! REF ───────────▶ git_commands::Repository ─┐
//!                                            ├─▶ git_tree::Tree ─▶ snapshot::Snapshot ─▶ side::Side ─▶ compare ─▶ plan
//! tracked files ─▶ working_tree::Present ────┘     (paths)          (private files)       (facts)
//! ```
//!
//! The author of a change is not trusted. Only objects of Git and the bytes of tracked files are read. Only values in
//! the manifest itself are resolved. No program that the manifest or an attribute of Git names is run, and links are
//! compared as links. Tested by `tests/attacks/review.rs` and `tests/attacks/review_attributes.rs`.

pub mod against;
mod git_commands;
mod git_filters;
mod git_tree;
mod named;
mod place;
mod side;
mod snapshot;
mod steps;
mod working_tree;

pub use git_commands::Repository;
pub use snapshot::Snapshot;

use crate::manifest::{self, Manifest};
use crate::model::event::PlanView;
use crate::model::failure::{Failure, Reason};
use crate::plan::Plan;
use crate::resource::contract::record::DigestKey;
use camino::{Utf8Path, Utf8PathBuf};
use git_tree::{Found, Tree};
use named::{named, programs};
use side::{ASIDE, Side, relocated, side};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use steps::between;

/// The time limit for comparing all environments. It leaves time before the command's own limit to print the
/// environments that were compared.
const LIMIT: Duration = Duration::from_mins(4);

/// A manifest in a tree, with the files of the tree.
pub struct Version<'a> {
    /// The manifest.
    pub manifest: Manifest,
    /// The tree.
    pub snapshot: Snapshot<'a>,
    /// The paths of the manifest and of the texts that it names, below the snapshot's directory.
    own: Vec<Utf8PathBuf>,
}

/// The reason why the manifest of a tree cannot be read.
pub enum Unread {
    /// The manifest is missing. The text is the end of a sentence about it.
    Absent(&'static str),
    /// The manifest is not valid.
    Invalid(Vec<Failure>),
    /// Git failed.
    Failed(Failure),
}

impl<'a> Version<'a> {
    /// Reads the manifest at `path` of a tree. Messages refer to it as `label`.
    pub async fn read(mut snapshot: Snapshot<'a>, path: &Utf8Path, label: &str) -> Result<Self, Unread> {
        let full = snapshot.root.join(path);
        match snapshot.find(&full) {
            Found::Nothing => return Err(Unread::Absent("does not exist")),
            Found::Submodule(..) => return Err(Unread::Absent("is in a Git submodule, which is another repository")),
            Found::Outside => return Err(Unread::Absent("is a link that leads out of the repository")),
            Found::Directory(_) => return Err(Unread::Absent("is a directory")),
            Found::Entry(..) => {}
        }
        let mut own = vec![full.clone()];
        snapshot.settle(&own).await.map_err(Unread::Failed)?;
        let text = snapshot.text(&full).await.map_err(Unread::Failed)?;
        let text = text.ok_or(Unread::Absent("is not a text file"))?;
        let base = full.parent().unwrap_or(&full);
        // The runner's own home directory is not part of a commit.
        let parse = |text_of: &mut dyn FnMut(&Utf8Path) -> Option<String>| {
            manifest::parse_with(&text, label, base, Some(Utf8Path::new("~")), text_of).map_err(Unread::Invalid)
        };
        let mut wanted = BTreeSet::new();
        let mut manifest = parse(&mut |path| {
            wanted.insert(path.to_owned());
            None
        })?;
        if !wanted.is_empty() {
            own.extend(wanted.iter().cloned());
            snapshot.settle(&own).await.map_err(Unread::Failed)?;
            let mut texts = BTreeMap::new();
            for path in wanted {
                let text = snapshot.text(&path).await.map_err(Unread::Failed)?;
                texts.extend(text.map(|text| (path, text)));
            }
            manifest = parse(&mut |path| texts.get(path).cloned())?;
        }
        let mut paths = Vec::new();
        for environment in manifest.environments.values() {
            paths.extend(named(environment, &manifest).into_iter().map(|(_, path)| path));
            paths.extend(programs(environment, &manifest, &snapshot).map(|_| snapshot.root.clone()));
        }
        snapshot.settle(&paths).await.map_err(Unread::Failed)?;
        snapshot.tree.unspent().map_err(|failure| Unread::Invalid(vec![failure]))?;
        Ok(Self { manifest, snapshot, own })
    }

    /// Returns the directories of the applications, by their paths in the tree.
    #[must_use]
    pub fn directories(&self) -> BTreeSet<Utf8PathBuf> {
        let applications = self.manifest.environments.values().filter_map(|one| one.application.as_ref());
        let directories = applications.filter_map(|application| application.directory());
        directories.filter_map(|path| self.snapshot.find(path).directory()).collect()
    }
}

/// The result of a comparison.
#[derive(Default)]
pub struct Compared {
    /// The plan.
    pub view: PlanView,
    /// Failures of the present manifest and of rendering its environments.
    pub failures: Vec<Failure>,
    /// Environments whose earlier version cannot be rendered. They are shown as new.
    pub unreadable: Vec<(String, Failure)>,
    /// Parts of the present manifest that are not compared: path → reason.
    pub gaps: BTreeMap<String, String>,
}

/// Plans the steps from the state that `old` describes to the state that `new` describes, for the named environments.
/// Paths in failures are below `top`, and for the earlier commit they begin with `reference`.
pub async fn compare(
    mut old: Option<Version<'_>>,
    mut new: Version<'_>,
    names: &BTreeSet<String>,
    (top, reference): (&Utf8Path, &str),
) -> Compared {
    let begun = Instant::now();
    // Both sides use one key, so that secrets written in the manifests can be compared.
    let key = DigestKey::new(*blake3::hash(uuid::Uuid::new_v4().as_bytes()).as_bytes());
    let (mut steps, mut converged, mut depends_on) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut uncompared = BTreeMap::new();
    let mut compared = Compared::default();
    let (top, reference) = (format!("{top}/"), format!("{reference}:"));
    let differing = old.as_ref().map(|old| new.snapshot.tree.differing(&old.snapshot.tree)).unwrap_or_default();
    for environment in new.manifest.environments.values().filter(|one| names.contains(one.name.as_str())) {
        let name = environment.name.to_string();
        depends_on.insert(name.clone(), environment.depends_on.iter().map(ToString::to_string).collect());
        if begun.elapsed() > LIMIT {
            let limit = humantime::format_duration(LIMIT);
            let failure = Failure::new(Reason::TemplateInvalid, format!("{name} could not be compared within {limit}"));
            compared.failures.push(failure.hint("Make its templates simpler").on(&name));
            continue;
        }
        let mut now = match side(environment, &new.manifest, &new.own, &mut new.snapshot, &key).await {
            Ok(side) => side,
            Err(more) => {
                let root = &new.snapshot.root;
                compared.failures.extend(more.into_iter().map(|failure| relocated(failure, root, &top).on(&name)));
                continue;
            }
        };
        let before = match &mut old {
            None => None,
            Some(Version { manifest, snapshot, own }) => match manifest.environments.get(&environment.name) {
                None => None,
                Some(before) => match side(before, manifest, own, snapshot, &key).await {
                    Ok(side) => Some(side),
                    Err(more) => {
                        let first = more.into_iter().next();
                        let first = first.map(|failure| relocated(failure, &snapshot.root, &reference));
                        compared.unreadable.extend(first.map(|failure| (name.clone(), failure)));
                        None
                    }
                },
            },
        };
        let gap = before.as_ref().and_then(|before| unread(before, &now, &differing, &new.snapshot.tree));
        now.gaps.extend(gap);
        let files: BTreeSet<String> = before.iter().chain([&now]).flat_map(Side::uncompared).collect();
        compared.gaps.extend(now.gaps.iter().map(|(path, why)| (path.clone(), explained(path, why, &new.snapshot))));
        let files: BTreeSet<String> = files.into_iter().chain(now.gaps.keys().cloned()).collect();
        let mut own = between(before, now);
        for change in own.iter_mut().flat_map(|step| &mut step.changes) {
            change.fact = change.fact.trim_start_matches(ASIDE).to_owned();
        }
        if !files.is_empty() {
            uncompared.insert(name, files.into_iter().collect());
        } else if own.is_empty() {
            converged.push(name);
        }
        steps.extend(own);
    }
    compared.view = Plan::new(steps, &depends_on).view(converged);
    compared.view.uncompared = uncompared;
    compared.view.unplanned = compared.failures.iter().filter_map(|failure| failure.environment.clone()).collect();
    compared.view.project = new.manifest.project.to_string();
    let place = |name| Some((ToString::to_string(name), new.manifest.place(name)?.clone()));
    compared.view.places = new.manifest.environments.keys().filter_map(place).collect();
    compared
}

/// Returns the gap of an environment whose commands or OpenTofu may read files that differ and are not compared.
fn unread(before: &Side, now: &Side, differing: &BTreeSet<String>, tree: &Tree) -> Option<(String, String)> {
    let programs = now.programs?;
    let is_removed = |path: &str| before.covered.contains(path) && !tree.entries().contains_key(path);
    let mut others = differing.iter().filter(|path| !now.covered.contains(*path) && !is_removed(path));
    let first = others.next()?;
    let more = match others.count() {
        0 => String::new(),
        1 => " and 1 more file".to_owned(),
        more => format!(" and {more} more files"),
    };
    let why = format!("runs on this machine and may read {first}{more} (changed, not compared)");
    Some((format!("{programs} of {}", now.prepared.name()), why))
}

/// Returns the reason why something is not compared. For a submodule, it also names the file with its address.
fn explained(path: &str, why: &str, snapshot: &Snapshot<'_>) -> String {
    let is_module = snapshot.tree.entries().get(path).is_some_and(|entry| entry.kind == git_tree::Kind::Submodule);
    let more = if is_module { "; see .gitmodules. apply sends the files that are checked out there" } else { "" };
    format!("{why}{more}")
}
