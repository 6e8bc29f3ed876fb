//! The files of a Git tree: parsed once into paths that cannot leave the tree, and looked up through the tree's own
//! links. Pure.

use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::release::Budget;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

/// The most links on the way to one file. More are a loop.
const HOPS: usize = 40;

/// The longest target of a link (bytes). No system follows a longer one.
const LONGEST: usize = 4096;
/// The most path components that are followed for all links of a tree together.
const STEPS: usize = 5_000_000;
/// The bytes of a looked-up path that count as one more step.
const BYTES: usize = 64;

/// A tree: all its files by path.
#[derive(Debug)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
    /// The steps that may still be taken.
    steps: Budget,
    /// Entries whose names cannot be paths: not UTF-8, or with components such as `..` and `.git`.
    pub refused: Vec<String>,
    /// Files of the disk that are not compared: path → reason.
    pub unread: BTreeMap<String, String>,
}

/// The part of a tree that paths lead to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The entries at and below the paths, also behind links.
    pub entries: BTreeSet<String>,
    /// The directories that hold those entries.
    pub directories: BTreeSet<Utf8PathBuf>,
}

/// One entry that is not a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// The id of its object.
    pub id: String,
    /// The size of its object in bytes; 0 for a submodule.
    pub size: u64,
}

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file, with true if it is executable.
    File(bool),
    /// A link and its target; `None` if the target is not text.
    Link(Option<String>),
    /// A commit of another repository.
    Submodule,
}

/// The end of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A file at this path.
    Entry(Utf8PathBuf, &'a Entry),
    /// A submodule at this path or above it.
    Submodule(Utf8PathBuf, &'a Entry),
    /// A directory at this path. The tree's top is the empty path.
    Directory(Utf8PathBuf),
    /// Nothing in the tree.
    Nothing,
    /// A place outside of the tree.
    Outside,
}

impl<'a> Found<'a> {
    /// Returns the file at the end of the path, if that is a file.
    #[must_use]
    pub fn file(self) -> Option<(Utf8PathBuf, &'a Entry)> {
        match self {
            Self::Entry(at, entry) => Some((at, entry)),
            _ => None,
        }
    }

    /// Returns the directory at the end of the path, if that is a directory.
    #[must_use]
    pub fn directory(self) -> Option<Utf8PathBuf> {
        match self {
            Self::Directory(at) => Some(at),
            _ => None,
        }
    }
}

impl Tree {
    fn new() -> Self {
        Self { entries: BTreeMap::new(), steps: Budget::new(STEPS), refused: Vec::new(), unread: BTreeMap::new() }
    }

    /// Parses the output of `git ls-tree -r -z`, with `-l` or without sizes.
    ///
    /// # Errors
    /// The first line that does not parse.
    pub fn parse(listing: &[u8]) -> Result<Self, String> {
        let mut tree = Self::new();
        for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let (words, path) = halves(line).ok_or_else(|| shown(line))?;
            let (mode, id, size) = match words[..] {
                [mode, _, id] => (mode, id, 0),
                [mode, _, id, size] => (mode, id, size.parse().unwrap_or_default()),
                _ => return Err(shown(line)),
            };
            let entry = Entry::new(mode, id, size).ok_or_else(|| shown(line))?;
            tree.insert(path, entry);
        }
        Ok(tree)
    }

    /// Parses the output of `git ls-files --stage -t -z`. Returns the index, and those of its files that a sparse
    /// checkout omits.
    ///
    /// # Errors
    /// The first line that does not parse.
    pub fn parse_index(listing: &[u8]) -> Result<(Self, BTreeSet<String>), String> {
        let (mut tree, mut left_out) = (Self::new(), BTreeSet::new());
        for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let (words, path) = halves(line).ok_or_else(|| shown(line))?;
            let [tag, mode, id, _] = words[..] else { return Err(shown(line)) };
            let entry = Entry::new(mode, id, 0).ok_or_else(|| shown(line))?;
            let path = tree.insert(path, entry);
            left_out.extend(path.filter(|_| tag.eq_ignore_ascii_case("S")));
        }
        Ok((tree, left_out))
    }

    /// Adds an entry, and returns its path if the path is safe.
    fn insert(&mut self, path: &[u8], entry: Entry) -> Option<String> {
        let Some(path) = std::str::from_utf8(path).ok().filter(|path| is_safe(path)) else {
            self.refused.push(shown(path));
            return None;
        };
        self.entries.insert(path.to_owned(), entry);
        Some(path.to_owned())
    }

    /// Returns every entry by its path.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// Replaces an entry, or removes it.
    pub fn set(&mut self, path: String, entry: Option<Entry>) {
        match entry {
            Some(entry) => drop(self.entries.insert(path, entry)),
            None => drop(self.entries.remove(&path)),
        }
    }

    /// Returns the object ids of the links, with their sizes.
    pub fn links(&self) -> impl Iterator<Item = (&str, u64)> {
        let links = self.entries.values().filter(|entry| matches!(entry.kind, Kind::Link(_)));
        links.map(|entry| (entry.id.as_str(), entry.size))
    }

    /// Sets the targets of the links, by the ids of their objects.
    pub fn set_targets(&mut self, targets: &BTreeMap<String, Vec<u8>>) {
        for entry in self.entries.values_mut() {
            if let Kind::Link(target) = &mut entry.kind {
                let text = targets.get(&entry.id).and_then(|bytes| std::str::from_utf8(bytes).ok());
                *target = text.filter(|text| text.len() <= LONGEST && !text.contains('\0')).map(str::to_owned);
            }
        }
    }

    /// Returns every entry below a directory, by its path below that directory.
    pub fn below(&self, directory: &Utf8Path) -> impl Iterator<Item = (&Utf8Path, &Entry)> {
        let start = if directory.as_str().is_empty() { String::new() } else { format!("{directory}/") };
        let prefix = start.clone();
        let from = self.entries.range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded));
        from.map_while(move |(path, entry)| Some((Utf8Path::new(path.strip_prefix(&prefix)?), entry)))
    }

    /// Returns everything that paths lead to.
    pub fn reached<'a>(&self, paths: impl IntoIterator<Item = &'a Utf8Path>) -> Reached {
        let mut reached = Reached::default();
        let mut open: Vec<Utf8PathBuf> = paths.into_iter().map(Utf8Path::to_owned).collect();
        while let Some(path) = open.pop() {
            let directory = match self.find(&path) {
                Found::Entry(at, _) | Found::Submodule(at, _) => {
                    reached.entries.insert(at.into_string());
                    continue;
                }
                Found::Directory(at) => at,
                Found::Nothing | Found::Outside => continue,
            };
            if reached.directories.iter().any(|one| directory.starts_with(one)) {
                continue;
            }
            for (below, entry) in self.below(&directory) {
                let path = directory.join(below);
                if matches!(entry.kind, Kind::Link(_)) {
                    open.push(path.clone());
                }
                reached.entries.insert(path.into_string());
            }
            reached.directories.insert(directory);
        }
        reached
    }

    /// Returns the submodules and unread files behind a path, each with the reason why it is not compared.
    pub fn gaps(&self, path: &Utf8Path) -> BTreeMap<String, String> {
        let why = |path: &String| {
            let module = self.entries.get(path).filter(|entry| entry.kind == Kind::Submodule);
            let module = module.map(|entry| format!("commit {} of another repository (not compared)", entry.id));
            module.or_else(|| self.unread.get(path).cloned())
        };
        let entries = self.reached([path]).entries.into_iter();
        entries.filter_map(|path| why(&path).map(|why| (path, why))).collect()
    }

    /// Returns the links on the way to a path and behind it that lead to nothing in the tree, each with the reason why
    /// what they lead to is not compared.
    pub fn astray(&self, path: &Utf8Path) -> BTreeMap<String, String> {
        let above = path.ancestors().map(|part| checked::plain_path(part).as_str().trim_start_matches('/').to_owned());
        let links = self.reached([path]).entries.into_iter().chain(above).filter_map(|path| {
            let Kind::Link(target) = &self.entries.get(&path)?.kind else { return None };
            let is_astray = matches!(self.find(Utf8Path::new(&path)), Found::Nothing | Found::Outside);
            is_astray.then(|| (path, leads_out(target.as_deref().unwrap_or_default())))
        });
        links.collect()
    }

    /// Returns the paths at which two trees differ, and all names that are no paths.
    pub fn differing(&self, other: &Self) -> BTreeSet<String> {
        let differs = |path: &&String| match (self.entries.get(*path), other.entries.get(*path)) {
            (Some(one), Some(other)) => !one.is(other),
            _ => true,
        };
        let paths = self.entries.keys().chain(other.entries.keys()).filter(differs);
        paths.chain(&self.refused).chain(&other.refused).cloned().collect()
    }

    /// Returns a refused name below the directories, if there is one.
    pub fn refused_below(&self, directories: &BTreeSet<Utf8PathBuf>) -> Option<&String> {
        let below = |name: &&String| directories.iter().any(|directory| Utf8Path::new(name).starts_with(directory));
        self.refused.iter().find(below)
    }

    /// Returns the digest of all entries below a directory.
    #[must_use]
    pub fn digest(&self, directory: &Utf8Path) -> String {
        let mut hasher = blake3::Hasher::new();
        let reached = self.reached([directory]).entries;
        for (path, entry) in reached.iter().filter_map(|path| Some((path, self.entries.get(path)?))) {
            hasher.update(format!("{path}\0{} {:?}\0", entry.id, entry.kind).as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// Fails if no step is left: lookups found nothing since then.
    ///
    /// # Errors
    /// `ApplicationInvalid`.
    pub fn unspent(&self) -> Result<(), Failure> {
        let message = "Cannot compare: links lead through too many others";
        let failure = Failure::new(Reason::ApplicationInvalid, message);
        let hint = "Let links lead to files and directories directly";
        if self.steps.is_spent() { Err(failure.hint(hint)) } else { Ok(()) }
    }

    /// Takes steps. Returns false if none are left afterwards, and for every call after that.
    pub fn take(&self, steps: usize) -> bool {
        self.steps.take(steps)
    }

    /// Follows a path relative to the top to its end, through links of the tree. Finds nothing after the steps are
    /// spent, which [`Self::unspent`] reports.
    #[must_use]
    pub fn find(&self, path: &Utf8Path) -> Found<'_> {
        let mut open: VecDeque<String> = parts(path.as_str());
        let mut at = Utf8PathBuf::new();
        let mut hops = 0;
        if path.is_absolute() {
            return Found::Outside;
        }
        while let Some(part) = open.pop_front() {
            if part == ".." {
                if !at.pop() {
                    return Found::Outside;
                }
                continue;
            }
            at.push(&part);
            if !self.take(1 + at.as_str().len() / BYTES) {
                return Found::Nothing;
            }
            match self.entries.get(at.as_str()) {
                Some(Entry { kind: Kind::Link(target), .. }) => {
                    hops += 1;
                    let Some(target) = target.as_deref().filter(|_| hops <= HOPS) else { return Found::Nothing };
                    if target.starts_with('/') {
                        return Found::Outside;
                    }
                    at.pop();
                    let more = parts(target);
                    if !self.take(more.len()) {
                        return Found::Nothing;
                    }
                    more.into_iter().rev().for_each(|part| open.push_front(part));
                }
                Some(entry) if entry.kind == Kind::Submodule => return Found::Submodule(at, entry),
                Some(entry) if open.is_empty() => return Found::Entry(at, entry),
                Some(_) => return Found::Nothing,
                None => {}
            }
        }
        if at.as_str().is_empty() || self.below(&at).next().is_some() { Found::Directory(at) } else { Found::Nothing }
    }
}

impl Entry {
    fn new(mode: &str, id: &str, size: u64) -> Option<Self> {
        let kind = match mode {
            "100755" => Kind::File(true),
            "120000" => Kind::Link(None),
            "160000" => Kind::Submodule,
            mode if mode.starts_with("100") => Kind::File(false),
            _ => return None,
        };
        id.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| Self { kind, id: id.to_owned(), size })
    }

    /// Returns true if both entries are the same in Git. The target of a link is its object, and may not be read yet.
    pub fn is(&self, other: &Self) -> bool {
        let links = matches!((&self.kind, &other.kind), (Kind::Link(_), Kind::Link(_)));
        self.id == other.id && (links || self.kind == other.kind)
    }
}

/// Returns the reason why what a link leads to is not compared.
pub fn leads_out(target: &str) -> String {
    format!("a link to {target}, which is not in the repository; only the link is compared")
}

/// Returns the words before a path, and the path.
fn halves(line: &[u8]) -> Option<(Vec<&str>, &[u8])> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let head = std::str::from_utf8(&line[..tab]).ok()?;
    Some((head.split_ascii_whitespace().collect(), &line[tab + 1..]))
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the parts of a path without `.`.
fn parts(path: &str) -> VecDeque<String> {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

/// Returns true if every part of a path is a name that a commit may hold. A tree made by hand can hold other names.
fn is_safe(path: &str) -> bool {
    let plain = Utf8Path::new(path).components().all(|part| matches!(part, Utf8Component::Normal(_)));
    let usual = |part: &str| !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git");
    plain && path.split('/').all(usual)
}

#[cfg(test)]
mod tests;
