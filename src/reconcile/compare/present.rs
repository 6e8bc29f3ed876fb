//! Reads the tracked files from the disk, byte for byte: `apply` would send these bytes. `git add` rewrites files by
//! their attributes and runs filters, and the author of a change chooses both.

use super::git::{PARTIAL, Repository};
use super::snapshot::LARGEST;
use super::tree::{Entry, Kind, Tree};
use crate::io::below::{self, Thing};
use crate::model::bounded;
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;

/// The tracked files in their current form.
pub struct Present {
    /// The files.
    pub tree: Tree,
    /// The files that differ from the checked-out commit.
    pub changed: BTreeSet<String>,
    /// The files that differ on the disk and have a filter of this machine, which may use a key or a token and so more
    /// data than the commit. The tree has the index's version of these files.
    pub filtered: BTreeSet<String>,
}

impl Repository {
    /// Reads the tracked files in their current form, regardless of attributes and flags of the index, and links as
    /// links.
    ///
    /// # Errors
    /// `CommandFailed` if Git or this machine cannot read them.
    pub async fn present(&self) -> Result<Present, Failure> {
        let listing = self.run(&["ls-files", "--stage", "-t", "-z"], b"").await?.map_err(cannot)?;
        let (mut tree, left_out) = Tree::parse_index(&listing).map_err(strange)?;
        let found = self.on_disk(tree.entries().clone(), None).await?;
        let (mut differing, mut as_listed) = (BTreeMap::new(), BTreeSet::new());
        for (path, found) in found {
            let listed = &tree.entries()[&path];
            match found {
                Some(entry) if entry.is(listed) => tree.set(path, Some(entry)),
                None if listed.kind == Kind::Submodule => {}
                None if left_out.contains(&path) => drop(as_listed.insert(path)),
                None => tree.set(path, None),
                Some(_) => drop(differing.insert(path, listed.clone())),
            }
        }
        let filtered = self.filtered(&differing).await?;
        differing.retain(|path, _| !filtered.contains(path));
        for (path, found) in self.on_disk(differing, Some(self.kept())).await? {
            tree.set(path, found);
        }
        self.fill_in_sizes(&mut tree, as_listed.iter().chain(&filtered)).await?;
        let changed = self.uncommitted(&tree).await?;
        self.read_links(&mut tree).await?;
        Ok(Present { tree, changed, filtered })
    }

    /// Reads the entries from the disk. The result is `None` for anything that is neither a file nor a link. Copies the
    /// contents that may be shown to the directory `keep`.
    async fn on_disk(
        &self,
        entries: BTreeMap<String, Entry>,
        keep: Option<Utf8PathBuf>,
    ) -> Result<BTreeMap<String, Option<Entry>>, Failure> {
        let top = self.top.clone();
        let read = move || {
            let found = entries.into_iter().map(|(path, entry)| {
                let found = read(&top, Utf8Path::new(&path), entry.id.len(), keep.as_deref());
                let found = found.map_err(|error| cannot(format!("{path}: {error}")))?;
                Ok((path, found))
            });
            found.collect()
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| cannot(error.to_string()))?
    }

    /// Returns the files that have a filter, by the attributes on the disk or by those of the index, which a checkout
    /// uses.
    async fn filtered(&self, files: &BTreeMap<String, Entry>) -> Result<BTreeSet<String>, Failure> {
        if files.is_empty() {
            return Ok(BTreeSet::new());
        }
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        let input = paths.join("\0");
        let mut filtered = BTreeSet::new();
        for words in
            [&["check-attr", "-z", "--stdin", "filter"][..], &["check-attr", "-z", "--stdin", "--cached", "filter"]]
        {
            let printed = self.run(words, input.as_bytes()).await?.map_err(cannot)?;
            let fields: Vec<&[u8]> = printed.split(|byte| *byte == 0).collect();
            for answer in fields.chunks_exact(3) {
                let path = String::from_utf8_lossy(answer[0]);
                if !matches!(answer[2], b"unspecified" | b"unset") {
                    filtered.insert(path.into_owned());
                }
            }
        }
        Ok(filtered)
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

    /// Returns the files that differ from the checked-out commit, or all files if there is no commit.
    async fn uncommitted(&self, tree: &Tree) -> Result<BTreeSet<String>, Failure> {
        let head = self.run(&["ls-tree", "-r", "-z", "--full-tree", "HEAD"], b"").await?;
        let head = Tree::parse(&head.unwrap_or_default()).map_err(strange)?;
        let is_in =
            |other: &Tree, path: &str, entry: &Entry| other.entries().get(path).is_some_and(|one| one.is(entry));
        let differs = |one: &Tree, other: &Tree| -> Vec<String> {
            let entries = one.entries().iter().filter(|(path, entry)| !is_in(other, path, entry));
            entries.map(|(path, _)| path.clone()).collect()
        };
        Ok(differs(tree, &head).into_iter().chain(differs(&head, tree)).collect())
    }
}

/// Reads a file or link below `top` whose path contains no link. `digits` is the length of this repository's ids.
fn read(top: &Utf8Path, path: &Utf8Path, digits: usize, keep: Option<&Utf8Path>) -> io::Result<Option<Entry>> {
    let (kind, bytes) = match below::look(top, path)? {
        Thing::Other => return Ok(None),
        Thing::Link(target) => (Kind::Link(None), target),
        Thing::File(file) => {
            let about = file.metadata()?;
            let kind = Kind::File(about.mode() & 0o100 != 0);
            if about.len() > LARGEST {
                let id = id(digits, about.len(), file.take(about.len()))?;
                return Ok(Some(Entry { kind, id, size: about.len() }));
            }
            (kind, bounded::whole(file, LARGEST)?)
        }
    };
    let size = bytes.len() as u64;
    let id = id(digits, size, bytes.as_slice())?;
    if let Some(keep) = keep {
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

fn cannot(why: impl Into<String>) -> Failure {
    Failure::new(Reason::CommandFailed, "Cannot read the files that Git tracks").details(why)
}

fn strange(line: impl std::fmt::Display) -> Failure {
    cannot(format!("Git printed: {line}"))
}
