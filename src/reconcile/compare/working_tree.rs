//! Reads the tracked files from the disk, byte for byte: `apply` would send these bytes. `git add` rewrites files by
//! their attributes and runs filters, and the author of a change chooses both.

use super::git_commands::{PARTIAL, Repository};
use super::git_tree::{Entry, Kind, Reached, Tree};
use crate::manifest::below::{self, Thing};
use crate::model::bounded;
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;

/// The largest file whose content is compared (bytes). A larger file is compared by its object's id.
pub const LARGEST: u64 = 8 << 20;

/// The tracked files whose bytes were read from the disk. Only files that a release needs are read.
#[derive(Default)]
pub struct Present {
    /// The entries whose bytes were read, and the directories that hold them.
    read: Reached,
}

impl Repository {
    /// Lists the tracked files as they are now, regardless of attributes and flags of the index, and links as links.
    /// Files have the ids of the index until [`Self::settle`] reads them.
    ///
    /// # Errors
    /// `CommandFailed` if Git or this machine cannot read them.
    pub async fn present(&self) -> Result<(Tree, Present), Failure> {
        let listing = self.run(&["ls-files", "--stage", "-t", "-z"], b"").await?.map_err(cannot)?;
        let (mut tree, left_out) = Tree::parse_index(&listing).map_err(strange)?;
        let found = self.on_disk(tree.entries().clone(), Some(self.kept()), Bytes::OfLinks).await?;
        let mut as_listed = BTreeSet::new();
        for (path, found) in found {
            let listed = &tree.entries()[&path];
            match found {
                None if listed.kind == Kind::Submodule => {
                    let head = self.checked_out(&path).await?.filter(|head| *head != listed.id);
                    if let Some(id) = head {
                        tree.set(path, Some(Entry { kind: Kind::Submodule, id, size: 0 }));
                    }
                }
                None if left_out.contains(&path) => drop(as_listed.insert(path)),
                found => tree.set(path, found),
            }
        }
        self.fill_in_sizes(&mut tree, as_listed.iter()).await?;
        self.read_links(&mut tree).await?;
        Ok((tree, Present::default()))
    }

    /// Reads the bytes of those `reached` files that were not read yet.
    ///
    /// # Errors
    /// `CommandFailed` if Git or this machine cannot read them.
    pub async fn settle(&self, tree: &mut Tree, present: &mut Present, reached: Reached) -> Result<(), Failure> {
        let wanted = reached.entries.difference(&present.read.entries);
        let entries = wanted.filter_map(|path| Some((path.clone(), tree.entries().get(path)?.clone())));
        let entries: BTreeMap<String, Entry> =
            entries.filter(|(_, entry)| matches!(entry.kind, Kind::File(_))).collect();
        present.read.entries.extend(reached.entries);
        present.read.directories.extend(reached.directories);
        let found = self.on_disk(entries.clone(), None, Bytes::OfAll).await?;
        // Files that are missing on the disk are those that a sparse checkout omits.
        let differs = |(path, entry): &(String, Entry)| matches!(found.get(path), Some(Some(now)) if !now.is(entry));
        let mut differing: BTreeMap<String, Entry> = entries.into_iter().filter(differs).collect();
        let filtered = self.filtered(&differing).await?;
        differing.retain(|path, _| !filtered.contains_key(path));
        for (path, found) in self.on_disk(differing, Some(self.kept()), Bytes::OfAll).await? {
            tree.set(path, found);
        }
        self.fill_in_sizes(tree, filtered.keys()).await?;
        tree.unread.extend(filtered);
        Ok(())
    }

    /// Returns the commit of a submodule that is checked out, or `None` if none is.
    async fn checked_out(&self, path: &str) -> Result<Option<String>, Failure> {
        let own = Utf8Path::new(path).join(".git");
        let there = below::look(&self.top, &own).is_ok_and(|thing| matches!(thing, Thing::File(_)))
            || self.top.join(&own).is_dir();
        // A link in the path leads elsewhere.
        let is_link = |part: &Utf8Path| self.top.join(part).is_symlink();
        if !there || Utf8Path::new(path).ancestors().filter(|part| !part.as_str().is_empty()).any(is_link) {
            return Ok(None);
        }
        let printed = self.text(&["-C", path, "rev-parse", "--show-prefix", "HEAD"]).await?.unwrap_or_default();
        Ok(printed.strip_prefix('\n').map(|id| id.trim().to_owned()))
    }

    /// Reads the entries from the disk. The result is `None` for anything that is neither a file nor a link. Copies the
    /// contents that may be shown to the directory `keep`.
    async fn on_disk(
        &self,
        entries: BTreeMap<String, Entry>,
        keep: Option<Utf8PathBuf>,
        bytes: Bytes,
    ) -> Result<BTreeMap<String, Option<Entry>>, Failure> {
        let top = self.top.clone();
        let read = move || {
            let found = entries.into_iter().map(|(path, entry)| {
                let found = read(&top, Utf8Path::new(&path), &entry, keep.as_deref(), bytes);
                let found = found.map_err(|error| cannot(format!("{path}: {error}")))?;
                Ok((path, found))
            });
            found.collect()
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| cannot(error.to_string()))?
    }

    /// Fills in the sizes of entries that were not read from the disk.
    async fn fill_in_sizes(&self, tree: &mut Tree, paths: impl Iterator<Item = &String>) -> Result<(), Failure> {
        let entries = paths.filter_map(|path| Some((path.clone(), tree.entries().get(path)?.clone())));
        let entries: Vec<_> = entries.filter(|(_, entry)| entry.kind != Kind::Submodule).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let ids = entries.iter().fold(String::new(), |text, (_, entry)| text + &entry.id + "\n");
        let words = ["cat-file", "--batch-check=%(objectname) %(objectsize)"];
        let sizes = self.run(&words, ids.as_bytes()).await?.map_err(cannot)?;
        let sizes = String::from_utf8_lossy(&sizes).into_owned();
        for ((path, entry), line) in entries.into_iter().zip(sizes.lines()) {
            let size = line.strip_prefix(&entry.id).and_then(|size| size.trim().parse().ok());
            let size = size.ok_or_else(|| cannot(line.to_owned()).hint(PARTIAL))?;
            tree.set(path, Some(Entry { size, ..entry }));
        }
        Ok(())
    }

    /// Returns the files that were read and differ from the checked-out commit, or all of them if there is no commit.
    ///
    /// # Errors
    /// `CommandFailed` if Git cannot list them.
    pub async fn uncommitted(&self, tree: &Tree, present: &Present) -> Result<BTreeSet<String>, Failure> {
        let head = self.run(&["ls-tree", "-r", "-z", "--full-tree", "HEAD"], b"").await?;
        let head = Tree::parse(&head.unwrap_or_default()).map_err(strange)?;
        let same = |one: &Tree, other: &Tree, path: &str| match (one.entries().get(path), other.entries().get(path)) {
            (Some(one), Some(other)) => one.is(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let Reached { entries, directories } = &present.read;
        let below = directories
            .iter()
            .flat_map(|directory| head.below(directory).map(move |(path, _)| directory.join(path).into_string()));
        let all: BTreeSet<String> = entries.iter().cloned().chain(below).collect();
        Ok(all.into_iter().filter(|path| !same(tree, &head, path)).collect())
    }
}

/// The entries whose bytes are read. Other files keep the id from the index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    OfLinks,
    OfAll,
}

/// Reads a file or link below `top` whose path contains no link. `listed` is its entry in the index.
fn read(
    top: &Utf8Path,
    path: &Utf8Path,
    listed: &Entry,
    keep: Option<&Utf8Path>,
    wanted: Bytes,
) -> io::Result<Option<Entry>> {
    let digits = listed.id.len();
    let (kind, bytes) = match below::look(top, path)? {
        Thing::Other => return Ok(None),
        Thing::Link(target) => (Kind::Link(None), target),
        Thing::File(file) => {
            let about = file.metadata()?;
            let kind = Kind::File(about.mode() & 0o100 != 0);
            if wanted == Bytes::OfLinks {
                return Ok(Some(Entry { kind, id: listed.id.clone(), size: about.len() }));
            }
            if about.len() > LARGEST {
                let id = id(digits, about.len(), file.take(about.len()))?;
                return Ok(Some(Entry { kind, id, size: about.len() }));
            }
            (kind, bounded::whole(file, LARGEST)?)
        }
    };
    let size = bytes.len() as u64;
    let id = id(digits, size, bytes.as_slice())?;
    if let Some(keep) = keep.filter(|_| id != listed.id) {
        std::fs::write(keep.join(&id), &bytes)?;
    }
    Ok(Some(Entry { kind, id, size }))
}

/// Returns the id that Git gives to a blob.
fn id(digits: usize, size: u64, mut content: impl Read) -> io::Result<String> {
    let is_long = digits == HEXLOWER.encode_len(SHA256.output_len());
    let mut digest = Context::new(if is_long { &SHA256 } else { &SHA1_FOR_LEGACY_USE_ONLY });
    digest.update(format!("blob {size}\0").as_bytes());
    let mut part = vec![0; 1 << 16];
    loop {
        match content.read(&mut part)? {
            0 => return Ok(HEXLOWER.encode(digest.finish().as_ref())),
            length => digest.update(&part[..length]),
        }
    }
}

pub(super) fn cannot(why: impl Into<String>) -> Failure {
    Failure::new(Reason::CommandFailed, "Cannot read the files that Git tracks").details(why)
}

fn strange(line: impl std::fmt::Display) -> Failure {
    cannot(format!("Git printed: {line}"))
}
