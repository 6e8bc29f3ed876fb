//! Reads the application's directory file by file. Holds at most one block of a file in memory. Reads nothing outside
//! the directory except the targets of links that the manifest lists.

use super::hash::read;
use super::left_out::{self, Rules, Why};
use super::permissions::{is_private, mode};
use super::sent::{Content, File, Place};
use super::{Files, invalid};
use crate::manifest::scope::{Scope, belongs_to_us};
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;

/// The most entries that are reached through links to directories, because links within links multiply.
const THROUGH_LINKS: usize = 100_000;

/// The deepest nesting of directories in an application.
const DEEPEST: usize = 200;

/// The manifest's settings for a directory.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// Absolute paths of files that are sent in another way.
    pub except: &'a BTreeSet<&'a Utf8Path>,
    /// Absolute paths of files that are never sent.
    pub withheld: &'a BTreeSet<Utf8PathBuf>,
    /// Links that may lead outside the directory, or to files that are left out.
    pub links: &'a [String],
    /// Listed links that were replaced by copies of their targets.
    pub copies: &'a BTreeSet<Utf8PathBuf>,
    /// The directories in which files may be.
    pub scope: &'a Scope,
}

/// The content of a directory.
#[derive(Debug, Default)]
pub struct Tree {
    /// The files that are sent.
    pub files: Files,
    /// Private keys among the files, without those that `.deployerignore` asks to send.
    pub keys: BTreeSet<Utf8PathBuf>,
    /// Files and directories that are not sent.
    pub left_out: BTreeMap<Utf8PathBuf, Why>,
}

impl Tree {
    /// Returns the reason why a file of the directory is not sent.
    pub fn why_left_out(&self, path: &Utf8Path) -> Option<Why> {
        path.ancestors().find_map(|above| self.left_out.get(above)).copied()
    }
}

/// Returns every file below `directory` that is sent, by its path relative to `directory`. Links are followed: a copy
/// of the target is sent.
///
/// # Errors
/// Every entry that cannot be sent: a link that leads outside, nowhere or in a circle, a special file, a name that is
/// not UTF-8.
pub fn walk(directory: &Utf8Path, wish: Wish<'_>) -> Result<Tree, Vec<Failure>> {
    let not_there = || {
        let hint = "application.compose.directory is relative to the manifest";
        vec![invalid(format!("{directory} is not a directory")).hint(hint)]
    };
    let root = directory.canonicalize_utf8().ok().filter(|root| root.is_dir()).ok_or_else(not_there)?;
    if let Some(refusal) = wish.scope.refuse_application(directory) {
        return Err(vec![refusal.failure(Reason::ApplicationInvalid, directory)]);
    }
    let rules = Rules::of(directory, &root)?;
    let real = |path: &Utf8PathBuf| path.canonicalize_utf8().ok();
    let mut walk = Walk {
        directory,
        withheld: wish.withheld.iter().filter_map(real).collect(),
        wish,
        rules,
        above: Vec::new(),
        links_open: 0,
        through_links: 0,
        tree: Tree::default(),
        failures: Vec::new(),
        root: root.clone(),
    };
    walk.list(&Spot { real: root.clone(), shown: Utf8PathBuf::new(), within: root, private: false, listed: false });
    let unused = wish.links.iter().filter(|link| {
        let data = directory.join(link).symlink_metadata();
        data.is_ok_and(|data| !data.is_symlink()) && !wish.copies.contains(Utf8Path::new(link.trim_start_matches("./")))
    });
    let unused = unused.map(|link| {
        let message = format!("application.compose.links names {link}, which is not a link");
        invalid(message).hint(format!("Remove {link} from application.compose.links"))
    });
    walk.failures.extend(unused.collect::<Vec<_>>());
    if walk.failures.is_empty() { Ok(walk.tree) } else { Err(walk.failures) }
}

/// An entry of the directory.
struct Spot {
    /// Its real path, without links.
    real: Utf8PathBuf,
    /// Its path in the release.
    shown: Utf8PathBuf,
    /// The directory that must contain it: the application's, or one that a listed link leads to.
    within: Utf8PathBuf,
    /// True if only the owner has rights on a directory above it.
    private: bool,
    /// True if a listed link leads to it.
    listed: bool,
}

impl Spot {
    fn entry(&self, name: &str) -> Self {
        let (within, private, listed) = (self.within.clone(), self.private, self.listed);
        Self { real: self.real.join(name), shown: self.shown.join(name), within, private, listed }
    }
}

struct Walk<'a> {
    /// The directory as the manifest names it.
    directory: &'a Utf8Path,
    /// The same directory without links.
    root: Utf8PathBuf,
    wish: Wish<'a>,
    /// The paths of withheld files, without links.
    withheld: BTreeSet<Utf8PathBuf>,
    rules: Rules,
    /// The paths of the directories that are being listed, without links.
    above: Vec<Utf8PathBuf>,
    /// The number of links to directories that are being followed.
    links_open: usize,
    /// The number of entries seen below those links.
    through_links: usize,
    tree: Tree,
    failures: Vec<Failure>,
}

impl Walk<'_> {
    fn list(&mut self, spot: &Spot) {
        if self.above.len() >= DEEPEST {
            let full = self.directory.join(&spot.shown);
            let failure = invalid(format!("{full} has more than {DEEPEST} directories above it"));
            return self.failures.push(failure.hint(format!("Add a directory above {full} to {}", left_out::FILE)));
        }
        let entries = std::fs::read_dir(&spot.real).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.failures.push(self.unreadable(&spot.shown, &error)),
        };
        entries.sort_by_key(DirEntry::file_name);
        self.above.push(spot.real.clone());
        for entry in entries {
            if let Err(failure) = self.entry(spot, &entry) {
                self.failures.push(failure);
            }
            if self.through_links > THROUGH_LINKS {
                break;
            }
        }
        self.above.pop();
    }

    fn entry(&mut self, above: &Spot, entry: &DirEntry) -> Result<(), Failure> {
        let full = self.directory.as_std_path().join(&above.shown).join(entry.file_name());
        let kind = entry.file_type().map_err(|error| self.unreadable(&above.shown, &error))?;
        let is_directory = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        let why = self.rules.verdict(&above.shown.as_std_path().join(entry.file_name()), is_directory);
        let Ok(name) = entry.file_name().into_string() else {
            let message = format!("The name of {} is not UTF-8", full.display());
            return if why.is_some() { Ok(()) } else { Err(invalid(message).hint("Rename it")) };
        };
        let spot = above.entry(&name);
        let withheld = || self.is_withheld(&spot.shown).then_some(Why::Never);
        if let Some(why) = why.or_else(withheld).or_else(|| self.by_its_own_path(&spot, is_directory)) {
            self.tree.left_out.insert(spot.shown, why);
            return Ok(());
        }
        if name.contains('\n') {
            let message = format!("The name {:?} contains a line break", full.display().to_string());
            return Err(invalid(message).hint("Rename it: files with such names cannot be sent safely"));
        }
        if kind.is_symlink() { self.link(spot) } else { self.take(spot, is_directory) }
    }

    /// Takes the target of a link.
    fn link(&mut self, mut spot: Spot) -> Result<(), Failure> {
        let full = self.directory.join(&spot.shown);
        let real = spot.real.canonicalize_utf8().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData => self.unreadable(&spot.shown, &error),
            _ => {
                let message = format!("{full} is a broken link");
                invalid(message).details(error.to_string()).hint(format!("Fix or remove the link {full}"))
            }
        })?;
        let is_directory = real.is_dir();
        spot.listed = self.wish.links.iter().any(|link| Utf8Path::new(link.trim_start_matches("./")) == spot.shown);
        let inside = real.strip_prefix(&self.root).ok().map(Utf8Path::to_owned);
        let why = match &inside {
            _ if self.withheld.contains(&real) => Some(Why::Never),
            Some(below) => self.rules.verdict_below(below, is_directory),
            None => belongs_to_us(&real).then_some(Why::Never),
        };
        if let Some(why) = why.filter(|why| *why == Why::Never || !spot.listed) {
            let message = format!("{full} is a link to {real}, which is not sent: {}", why.phrase());
            return Err(invalid(message).hint(format!(
                "Remove the link {full}, or add {} to {}",
                spot.shown,
                left_out::FILE
            )));
        }
        if let Some(ancestor) = self.above.iter().find(|above| is_directory && **above == real) {
            let message = format!("{full} is a link to {ancestor}, which contains the link");
            return Err(invalid(message).hint(format!("Remove the link {full}")));
        }
        if inside.is_some() {
            spot.within.clone_from(&self.root);
        } else if !real.starts_with(&spot.within) {
            self.may_lead_outside(&spot)?;
            let parent = real.parent().unwrap_or(&real);
            spot.within = if is_directory { real.clone() } else { parent.to_owned() };
        }
        spot.real = real;
        self.links_open += usize::from(is_directory);
        let taken = self.take(spot, is_directory);
        self.links_open -= usize::from(is_directory);
        if self.links_open == 0 && self.through_links > THROUGH_LINKS {
            let message = format!("More than {THROUGH_LINKS} files are reached through links such as {full}");
            return Err(invalid(message).hint(format!("Remove links between directories below {full}")));
        }
        taken
    }

    fn may_lead_outside(&self, spot: &Spot) -> Result<(), Failure> {
        let full = self.directory.join(&spot.shown);
        if spot.listed {
            let refusal = self.wish.scope.refuse(&full);
            return refusal.map_or(Ok(()), |refusal| Err(refusal.failure(Reason::ApplicationInvalid, &full)));
        }
        let target = std::fs::read_link(&spot.real).unwrap_or_default();
        let message = format!("{full} is a link to {}, outside the application's directory", target.display());
        let hint = format!(
            "Remove the link, or list it in the manifest to send what it leads to: application.compose.links: [{}]",
            spot.shown
        );
        Err(invalid(message).hint(hint))
    }

    fn take(&mut self, mut spot: Spot, is_directory: bool) -> Result<(), Failure> {
        self.through_links += usize::from(self.links_open > 0);
        if is_directory {
            // The mode of the application's own directory is ignored: users close that directory, or their home
            // directory.
            spot.private |= std::fs::metadata(&spot.real).is_ok_and(|data| is_private(data.permissions().mode()));
            self.list(&spot);
            return Ok(());
        }
        let sent_otherwise = [&spot.real, &self.directory.join(&spot.shown)];
        if sent_otherwise.iter().any(|path| self.wish.except.contains(path.as_path())) {
            return Ok(());
        }
        if self.withheld.contains(&spot.real) {
            self.tree.left_out.insert(spot.shown, Why::Never);
            return Ok(());
        }
        self.file(spot)
    }

    fn file(&mut self, spot: Spot) -> Result<(), Failure> {
        let full = self.directory.join(&spot.shown);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                let message = format!("{full} is neither a file nor a directory");
                invalid(message).hint("Move sockets, pipes and devices out of the application's directory")
            }
            _ => invalid(format!("{full} cannot be read")).details(error.to_string()),
        };
        let path = spot.real.strip_prefix(&spot.within).unwrap_or(&spot.real).to_owned();
        let place = Place { root: spot.within, path };
        let kind = spot.real.symlink_metadata().map_err(failed)?;
        if !kind.is_file() {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let file = place.open().map_err(failed)?;
        let data = file.metadata().map_err(failed)?;
        let permissions = data.permissions().mode();
        let (sha256, bytes, key) = read(file.take(data.len().saturating_add(1))).map_err(failed)?;
        if bytes != data.len() {
            let message = format!("{full} has {} bytes, but reading it gives another number of bytes", data.len());
            return Err(invalid(message).hint(format!("Add {} to {}", spot.shown, left_out::FILE)));
        }
        if key && !self.rules.is_asked_for(&spot.shown) {
            self.tree.keys.insert(spot.shown.clone());
        }
        let (content, sha256) = (Content::Path(place), Some(sha256));
        let secret = key || spot.private || is_private(permissions);
        let file = File { content, sha256, bytes, mode: mode(permissions), secret, seed: false };
        self.tree.files.insert(spot.shown, file);
        Ok(())
    }

    /// Returns true if the manifest names this exact path as one that is never sent.
    fn is_withheld(&self, shown: &Utf8Path) -> bool {
        [self.directory, &self.root].iter().any(|root| self.wish.withheld.contains(&root.join(shown)))
    }

    /// Returns the reason why an entry reached through a link is left out at its real path, or `None`.
    fn by_its_own_path(&self, spot: &Spot, is_directory: bool) -> Option<Why> {
        let below = spot.real.strip_prefix(&self.root).ok().filter(|below| *below != spot.shown && !spot.listed)?;
        self.rules.verdict_below(below, is_directory)
    }

    fn unreadable(&self, shown: &Utf8Path, error: &io::Error) -> Failure {
        invalid(format!("{} cannot be read", self.directory.join(shown))).details(error.to_string())
    }
}
