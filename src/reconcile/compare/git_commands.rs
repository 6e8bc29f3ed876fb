//! Reads the Git repository of a manifest through plumbing commands only: no hook, file monitor, text conversion or
//! filter runs, and neither the index nor the object store changes.

use super::git_tree::Tree;
use crate::io::process::{self, Environment};
use crate::io::scratch;
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The time limit for one Git command.
const LIMIT: Duration = Duration::from_mins(2);
/// The bytes of blobs in one request, which limits the size of Git's answer.
const PORTION: u64 = 8 << 20;
/// The longest target of a link (bytes). No file system has longer ones.
const LONGEST_LINK: u64 = 4096;

/// Options of every command. Otherwise the repository's own settings apply, because they belong to the runner and not
/// to a commit.
const QUIET: [&str; 7] = [
    "--no-replace-objects",
    "--literal-pathspecs",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "--no-optional-locks",
];

/// A hint for errors that a missing object may cause.
pub(super) const PARTIAL: &str = "In a partial clone, fetch without a filter first: git fetch --refetch --no-filter";

/// A repository, and a private directory for files that are made from it.
pub struct Repository {
    /// The top of its working tree.
    pub top: Utf8PathBuf,
    /// The private directory, which is removed with this value.
    held: scratch::Directory,
    /// A word that no commit can hold, because it differs in each run.
    word: uuid::Uuid,
}

impl Repository {
    /// Finds the repository of a manifest at the absolute path `file`, and the path of the manifest in the repository.
    /// `here` is the working directory.
    ///
    /// A commit can replace the manifest's directory by a link, a submodule or the files of a bare repository. The
    /// repository is therefore found by the path as written: the working directory's repository if it contains that
    /// path, otherwise the outermost one that tracks a part of the path to the manifest.
    ///
    /// # Errors
    /// `ToolMissing` if Git is missing, `RefUnknown` if there is no repository.
    pub async fn find(file: &Utf8Path, here: &Utf8Path) -> Result<(Self, Utf8PathBuf), Failure> {
        process::run_in(Environment::Git, &["git".to_owned(), "version".to_owned()], b"", LIMIT).await?;
        let file = checked::plain_path(file);
        let directory = file.parent().unwrap_or(Utf8Path::new("/"));
        let missing = || {
            Failure::new(Reason::RefUnknown, format!("{directory} is not in a Git repository"))
                .hint("plan --against compares with a commit of the manifest's repository")
        };
        let mine = tops(here).into_iter().next().filter(|top| file.starts_with(top));
        let top = if mine.is_some() { mine } else { outermost(tops(directory)).await? };
        let top = top.ok_or_else(missing)?;
        let below = file.strip_prefix(&top).map_err(|_| missing())?.to_owned();
        let held = scratch::Directory::new().map_err(|error| unwritable(&error.to_string()))?;
        let found = Self { top, held, word: uuid::Uuid::new_v4() };
        // A separate command, so that the message names a repository that Git refuses to use.
        found.text(&["rev-parse", "--git-dir"]).await?.map_err(|why| missing().details(why))?;
        std::fs::create_dir(found.kept()).map_err(|error| unwritable(&error.to_string()))?;
        Ok((found, below))
    }

    /// Returns the private directory for files that are made from trees.
    #[must_use]
    pub fn place(&self) -> &Utf8Path {
        Utf8Path::from_path(self.held.path()).unwrap_or(Utf8Path::new("/nonexistent"))
    }

    /// Returns bytes in place of an object that is not read. No file of a commit holds them, and nothing reads them as
    /// text.
    pub(super) fn stand_in(&self, id: &str) -> Vec<u8> {
        [&[0xff], self.word.as_bytes().as_slice(), id.as_bytes()].concat()
    }

    /// Returns the directory with the contents of files that are not objects of Git, named by the ids that they would
    /// have.
    pub(super) fn kept(&self) -> Utf8PathBuf {
        self.place().join("kept")
    }

    /// Returns the tree of a commit.
    ///
    /// # Errors
    /// `RefUnknown` if Git finds no such commit.
    pub async fn commit(&self, reference: &str) -> Result<Tree, Failure> {
        let missing =
            |why: String| Failure::new(Reason::RefUnknown, format!("Git finds no commit `{reference}`")).details(why);
        if reference.starts_with('-') {
            return Err(missing(String::new()));
        }
        let verify = ["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")];
        let commit = self.text(&verify).await?.map_err(missing)?;
        self.tree(&format!("{}^{{tree}}", commit.trim())).await
    }

    /// Returns the files below these paths that Git neither tracks nor ignores. Git names an untracked directory
    /// instead of its files.
    pub async fn untracked(&self, below: &[&Utf8Path]) -> Result<BTreeSet<String>, Failure> {
        let paths = below.iter().map(|path| if path.as_str().is_empty() { "." } else { path.as_str() });
        let words: Vec<&str> = ["ls-files", "-z", "--others", "--exclude-standard", "--directory", "--"]
            .into_iter()
            .chain(paths)
            .collect();
        let found = self.text(&words).await?.unwrap_or_default();
        Ok(found.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
    }

    /// Lists a tree, and reads the targets of its links.
    async fn tree(&self, name: &str) -> Result<Tree, Failure> {
        let cannot = |why: String| {
            Failure::new(Reason::CommandFailed, "Cannot list the files of a commit").details(why).hint(PARTIAL)
        };
        let id = self.text(&["rev-parse", "--verify", name]).await?.map_err(cannot)?.trim().to_owned();
        let words = ["ls-tree", "-r", "-l", "-z", "--full-tree", &id];
        let listing = self.run(&words, b"").await?.map_err(cannot)?;
        let mut tree = Tree::parse(&listing).map_err(|line| cannot(format!("Git printed: {line}")))?;
        self.read_links(&mut tree).await?;
        Ok(tree)
    }

    /// Reads the targets of a tree's links.
    pub(super) async fn read_links(&self, tree: &mut Tree) -> Result<(), Failure> {
        let links = tree.links().filter(|(_, size)| *size <= LONGEST_LINK).map(|(id, size)| (id.to_owned(), size));
        let targets = self.blobs(&links.collect()).await?;
        tree.set_targets(&targets);
        Ok(())
    }

    /// Returns the contents of objects and of kept files, by their ids. `wanted` has their sizes.
    pub async fn blobs(&self, wanted: &BTreeMap<String, u64>) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let mut found = BTreeMap::new();
        let mut portion: (Vec<&str>, u64) = (Vec::new(), 0);
        for (id, size) in wanted {
            if let Ok(bytes) = std::fs::read(self.kept().join(id)) {
                found.insert(id.clone(), bytes);
                continue;
            }
            if portion.1 + size > PORTION && !portion.0.is_empty() {
                found.extend(self.portion(&std::mem::take(&mut portion).0).await?);
            }
            portion.0.push(id);
            portion.1 += size;
        }
        found.extend(self.portion(&portion.0).await?);
        Ok(found)
    }

    async fn portion(&self, ids: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let cannot =
            |why: String| Failure::new(Reason::CommandFailed, "Cannot read objects of Git").details(why).hint(PARTIAL);
        let input = ids.iter().fold(String::new(), |text, id| text + id + "\n");
        let output = self.run(&["cat-file", "--batch"], input.as_bytes()).await?.map_err(cannot)?;
        let mut found = BTreeMap::new();
        let mut rest = output.as_slice();
        for id in ids {
            let blob = first(id, &mut rest).ok_or_else(|| cannot(format!("{id} is missing or damaged")))?;
            found.insert((*id).to_owned(), blob.to_owned());
        }
        Ok(found)
    }

    pub(super) async fn text(&self, words: &[&str]) -> Result<Result<String, String>, Failure> {
        let printed = self.run(words, b"").await?;
        Ok(printed.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(super) async fn run(&self, words: &[&str], input: &[u8]) -> Result<Result<Vec<u8>, String>, Failure> {
        git(&self.top, words, input).await
    }
}

/// Runs Git in the repository at `top`. Returns its standard output, or its error message if it failed. Git does not
/// fetch an object that a partial clone lacks.
async fn git(top: &Utf8Path, words: &[&str], input: &[u8]) -> Result<Result<Vec<u8>, String>, Failure> {
    let argv: Vec<String> =
        ["env", "LC_ALL=C", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "git", "-C", top.as_str()]
            .iter()
            .chain(QUIET.iter().chain(words))
            .map(ToString::to_string)
            .collect();
    let ended = process::run_in(Environment::Git, &argv, input, LIMIT).await?;
    Ok(if ended.status.success() { Ok(ended.stdout) } else { Err(String::from_utf8_lossy(&ended.stderr).into_owned()) })
}

/// Returns the tops of the working trees that contain a path as written, the innermost first.
fn tops(path: &Utf8Path) -> Vec<Utf8PathBuf> {
    let is_top = |one: &&Utf8Path| one.join(".git").symlink_metadata().is_ok();
    path.ancestors().filter(is_top).map(Utf8Path::to_owned).collect()
}

/// Returns the outermost of several working trees that tracks a part of the path to the next one, otherwise the
/// innermost.
async fn outermost(tops: Vec<Utf8PathBuf>) -> Result<Option<Utf8PathBuf>, Failure> {
    for pair in tops.windows(2).rev() {
        if tracks(&pair[1], &pair[0]).await? {
            return Ok(Some(pair[1].clone()));
        }
    }
    Ok(tops.into_iter().next())
}

/// Returns true if a repository tracks a part of the path to a directory as a link or a submodule, which leads to
/// another repository.
async fn tracks(top: &Utf8Path, directory: &Utf8Path) -> Result<bool, Failure> {
    let below = directory.strip_prefix(top).unwrap_or(directory);
    let way = below.ancestors().filter(|part| !part.as_str().is_empty()).map(Utf8Path::as_str);
    let words: Vec<&str> = ["ls-tree", "-z", "HEAD", "--"].into_iter().chain(way).collect();
    let listed = git(top, &words, b"").await?.unwrap_or_default();
    Ok(listed.split(|byte| *byte == 0).any(|line| line.starts_with(b"120000 ") || line.starts_with(b"160000 ")))
}

/// Takes one object from the output of `cat-file --batch`.
fn first<'a>(id: &str, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&rest[..end]).ok()?;
    let size: usize = head.strip_prefix(id)?.strip_prefix(" blob ")?.parse().ok()?;
    let after = &rest[end + 1..];
    let blob = after.get(..size)?;
    *rest = after.get(size + 1..)?;
    Some(blob)
}

fn unwritable(why: &str) -> Failure {
    Failure::new(Reason::CommandFailed, format!("Cannot make a temporary directory: {why}"))
}
