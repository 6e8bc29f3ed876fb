//! Writes files of a Git tree into a private directory as plain files, and rendering reads them only there. No link is
//! created: a link to a file or directory of the tree becomes a copy of the target, and any other link is omitted.

use super::git_commands::Repository;
use super::git_tree::{Entry, Found, Kind, Tree};
use super::working_tree::{LARGEST, Present};
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

/// The largest sum of contents that are written from a tree (bytes). All further files are compared by their objects'
/// ids.
const TOTAL: u64 = 256 << 20;
/// The most files and links of an application.
const FILES: usize = 50_000;
/// The deepest nesting of links to directories. `apply` sends nothing deeper.
const DEPTH: usize = 200;

/// A link of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its target in the commit.
    pub target: String,
    /// True if the target is in the tree.
    pub inside: bool,
}

/// The object of a file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its id.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// True if its content was written. A file that was not read is compared by its object.
    pub read: bool,
}

/// One tree, and the files of it that were written.
pub struct Snapshot<'a> {
    repository: &'a Repository,
    /// The tree.
    pub tree: Tree,
    /// The files that were read from the disk, if the tree has the files of the disk.
    pub present: Option<Present>,
    /// The directory that corresponds to the tree's top.
    pub root: Utf8PathBuf,
    /// Links below the directories that were written, by their paths in the tree.
    pub links: BTreeMap<Utf8PathBuf, Link>,
    /// The objects of the files that were written, by their paths in the tree.
    pub objects: BTreeMap<Utf8PathBuf, Object>,
    directories: BTreeSet<Utf8PathBuf>,
    bytes: u64,
}

/// The target of a path in a manifest.
pub enum Place {
    /// A file or directory that was written at this path.
    Written(Utf8PathBuf),
    /// Nothing in the tree.
    Nothing,
    /// A target outside of the repository.
    Outside,
}

/// One file to write.
struct Copy {
    to: Utf8PathBuf,
    id: String,
    size: u64,
    executable: bool,
}

impl<'a> Snapshot<'a> {
    /// Returns a snapshot without any written file. `name` is the name of its directory, which differs from that of
    /// another tree.
    #[must_use]
    pub fn new(repository: &'a Repository, tree: Tree, name: &str) -> Self {
        Self {
            repository,
            tree,
            present: None,
            root: repository.place().join(name),
            links: BTreeMap::new(),
            objects: BTreeMap::new(),
            directories: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Returns the snapshot of the tracked files on the disk.
    pub async fn of_disk(repository: &'a Repository, name: &str) -> Result<Self, Failure> {
        let (tree, present) = repository.present().await?;
        Ok(Self { present: Some(present), ..Self::new(repository, tree, name) })
    }

    /// Reads the files at, below and behind these paths from the disk. The paths are below the snapshot's directory.
    pub async fn settle(&mut self, paths: &[Utf8PathBuf]) -> Result<(), Failure> {
        let Some(present) = &mut self.present else { return Ok(()) };
        let reached = self.tree.reached(paths.iter().filter_map(|path| path.strip_prefix(&self.root).ok()));
        self.repository.settle(&mut self.tree, present, reached).await
    }

    /// Returns the files that were read from the disk and differ from the checked-out commit.
    pub async fn uncommitted(&self) -> Result<BTreeSet<String>, Failure> {
        match &self.present {
            Some(present) => self.repository.uncommitted(&self.tree, present).await,
            None => Ok(BTreeSet::new()),
        }
    }

    /// Follows a path below the snapshot's directory to its end in the tree.
    #[must_use]
    pub fn find(&self, path: &Utf8Path) -> Found<'_> {
        path.strip_prefix(&self.root).map_or(Found::Outside, |path| self.tree.find(path))
    }

    /// Returns the text of a small file of the tree, or `None` for anything else.
    pub async fn text(&self, path: &Utf8Path) -> Result<Option<String>, Failure> {
        let Found::Entry(_, Entry { kind: Kind::File(_), id, size }) = self.find(path) else { return Ok(None) };
        if *size > LARGEST {
            return Ok(None);
        }
        let found = self.repository.blobs(&BTreeMap::from([(id.clone(), *size)])).await?;
        Ok(found.into_values().next().and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Writes the file or directory that a path leads to.
    pub async fn write(&mut self, path: &Utf8Path) -> Result<Place, Failure> {
        let mut copies = Vec::new();
        let at = match self.find(path) {
            Found::Nothing | Found::Submodule(..) => return Ok(Place::Nothing),
            Found::Outside => return Ok(Place::Outside),
            Found::Entry(at, entry) => {
                let Some(copy) = copy(&at, entry) else { return Ok(Place::Nothing) };
                copies.push(copy);
                at
            }
            Found::Directory(at) => {
                if self.directories.insert(at.clone()) {
                    let mut links = BTreeMap::new();
                    collect(&self.tree, &at, &at, &mut Vec::new(), &mut copies, &mut links)?;
                    self.links.extend(links);
                }
                let _ = std::fs::create_dir_all(self.root.join(&at));
                at
            }
        };
        copies.retain(|copy| !self.objects.contains_key(&copy.to));
        self.place(&copies).await?;
        Ok(Place::Written(self.root.join(at)))
    }

    async fn place(&mut self, copies: &[Copy]) -> Result<(), Failure> {
        let mut portion: Vec<&Copy> = Vec::new();
        let mut size = 0;
        for copy in copies {
            if size + copy.size > LARGEST {
                self.place_portion(&std::mem::take(&mut portion)).await?;
                size = 0;
            }
            size += self.read_size(copy);
            portion.push(copy);
        }
        self.place_portion(&portion).await
    }

    /// Returns the bytes of a file that are read: none of a large file.
    fn read_size(&self, copy: &Copy) -> u64 {
        if copy.size > LARGEST || self.bytes + copy.size > TOTAL { 0 } else { copy.size }
    }

    async fn place_portion(&mut self, copies: &[&Copy]) -> Result<(), Failure> {
        let mut wanted = BTreeMap::new();
        for copy in copies {
            if copy.size == 0 || self.read_size(copy) > 0 {
                self.bytes += copy.size;
                wanted.insert(copy.id.clone(), copy.size);
            }
        }
        let found = self.repository.blobs(&wanted).await?;
        for copy in copies {
            let bytes = found.get(&copy.id).cloned();
            let object = Object { id: copy.id.clone(), size: copy.size, read: bytes.is_some() };
            self.objects.insert(copy.to.clone(), object);
            let bytes = bytes.unwrap_or_else(|| self.repository.stand_in(&copy.id));
            put(&self.root.join(&copy.to), &bytes, copy.executable).map_err(|error| {
                let message = format!("Cannot write {} of the commit into a temporary directory: {error}", copy.to);
                Failure::new(Reason::CommandFailed, message)
            })?;
        }
        Ok(())
    }
}

fn copy(to: &Utf8Path, entry: &Entry) -> Option<Copy> {
    let Kind::File(executable) = entry.kind else { return None };
    Some(Copy { to: to.to_owned(), id: entry.id.clone(), size: entry.size, executable })
}

/// Lists the files below the directory `real`, as files below `to`. `open` contains the links on the way to `real`: for
/// each, the directory whose files were listed and the directory with the link.
fn collect(
    tree: &Tree,
    real: &Utf8Path,
    to: &Utf8Path,
    open: &mut Vec<(Utf8PathBuf, Utf8PathBuf)>,
    copies: &mut Vec<Copy>,
    links: &mut BTreeMap<Utf8PathBuf, Link>,
) -> Result<(), Failure> {
    for (path, entry) in tree.below(real) {
        tree.take(1);
        tree.unspent()?;
        let place = to.join(path);
        if let Kind::Link(target) = &entry.kind {
            let found = tree.find(&real.join(path));
            let inside = matches!(found, Found::Entry(..) | Found::Directory(_));
            let target = target.clone().unwrap_or_else(|| format!("object {}", entry.id));
            links.insert(place.clone(), Link { target, inside });
            match found {
                Found::Entry(_, entry) => copies.extend(copy(&place, entry)),
                Found::Directory(other) => {
                    let link = real.join(path);
                    open.push((real.to_owned(), link.parent().unwrap_or(real).to_owned()));
                    if open.len() > DEPTH {
                        let message = format!("Cannot compare {link}: more than {DEPTH} links lead to it");
                        return Err(Failure::new(Reason::ApplicationInvalid, message));
                    }
                    // `apply` follows no link to a directory that holds the link.
                    let holds =
                        |(top, at): &(Utf8PathBuf, Utf8PathBuf)| other.starts_with(top) && at.starts_with(&other);
                    if !open.iter().any(holds) {
                        collect(tree, &other, &place, open, copies, links)?;
                    }
                    open.pop();
                }
                Found::Submodule(..) | Found::Nothing | Found::Outside => {}
            }
        } else {
            copies.extend(copy(&place, entry));
        }
        if copies.len() + links.len() > FILES {
            let message = format!("Cannot compare {real}: it contains more than {FILES} files and links");
            return Err(Failure::new(Reason::ApplicationInvalid, message));
        }
    }
    Ok(())
}

/// Writes a new file with the mode of a fresh checkout.
fn put(path: &Utf8Path, bytes: &[u8], executable: bool) -> std::io::Result<()> {
    let mode = if executable { 0o755 } else { 0o644 };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}
