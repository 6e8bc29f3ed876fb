//! The part of this machine's disk that a manifest may name files in. Holds the one rule for every path in a manifest
//! and every link next to it.

use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// Names of files and directories of Git and deployer, refused at any depth.
pub const OURS: [&str; 2] = [".git", ".deployer"];

/// Directories that show kernel state instead of files on a disk.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// Returns true if a path without links leads to state of the kernel.
pub fn is_kernels(path: &Utf8Path) -> bool {
    KERNEL.iter().any(|kernel| path.starts_with(kernel))
}

/// Number of links on the way to one file above which the path counts as a loop.
const LINKS: usize = 40;

/// Limit on the paths of a manifest that a command follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Anywhere: the manifest is trusted.
    #[default]
    Anywhere,
    /// Inside the Git repository that holds the manifest; without a repository, inside the manifest's directory.
    Repository,
    /// Inside this directory, absolute and without links.
    Directory(Utf8PathBuf),
}

/// The directory that a manifest's files belong to, and the rule for files outside of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Absolute path without links; empty if unknown.
    top: Utf8PathBuf,
    /// Kind of the directory, as messages name it.
    kind: &'static str,
    closed: bool,
}

/// Prints no directory: environments from several checkouts are compared by their debug output.
impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.closed { "Scope(closed)" } else { "Scope(open)" })
    }
}

/// Reason for refusing a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Rest of a sentence that begins with the path.
    pub why: String,
    /// Hint, as one imperative sentence.
    pub hint: String,
}

impl Refusal {
    /// Returns the failure for the file or directory at `path`.
    #[must_use]
    pub fn failure(self, reason: Reason, path: &Utf8Path) -> Failure {
        Failure::new(reason, format!("{path} {}", self.why)).hint(self.hint)
    }
}

impl Scope {
    /// Finds the scope of a manifest in `directory`.
    #[must_use]
    pub fn of(directory: &Utf8Path, extent: &Extent) -> Self {
        let real = real(directory);
        let is_top = |one: &&Utf8Path| one.join(".git").symlink_metadata().is_ok();
        // The path as written comes first: a link in a repository must not lead to another repository.
        let written = checked::plain_path(directory);
        let git = [&written, &real].into_iter().find_map(|path| path.ancestors().find(is_top));
        let (top, kind) = match (extent, git) {
            (Extent::Directory(top), _) => (top.clone(), "the directory of --within,"),
            (_, Some(top)) => (self::real(top), "the Git repository"),
            (_, None) => (real, "the manifest's directory"),
        };
        Self { top, kind, closed: *extent != Extent::Anywhere }
    }

    /// Returns the reason for not reading a file or directory, if it is refused. Follows links first. The path need not
    /// exist.
    #[must_use]
    pub fn refuse(&self, path: &Utf8Path) -> Option<Refusal> {
        let real = real(path);
        self.outside(path, &real).or_else(|| self.ours(&real).filter(|_| self.closed))
    }

    /// Returns the reason for refusing a path of the state store, if it is refused. The store may be in a directory of
    /// deployer.
    #[must_use]
    pub fn refuse_store(&self, path: &Utf8Path) -> Option<Refusal> {
        self.outside(path, &real(path))
    }

    fn outside(&self, path: &Utf8Path, real: &Utf8Path) -> Option<Refusal> {
        if let Some(kernel) = KERNEL.iter().find(|kernel| real.starts_with(kernel)) {
            let why = format!("is in {kernel}, which is not a file system on a disk");
            return Some(Refusal { why, hint: format!("Name a file on a disk instead of {path}") });
        }
        if !self.closed || real.starts_with(&self.top) {
            return None;
        }
        let Self { top, kind, .. } = self;
        let (is, first) = if checked::plain_path(path).starts_with(top) {
            ("is reached by a link out of", format!("Replace the link in {path} with its target"))
        } else {
            ("is outside", format!("Move {path} into {top}"))
        };
        let why = format!("{is} {kind} {top}, which is all that this command reads");
        // The hint names no directory: the manifest's author could otherwise choose it.
        Some(Refusal { why, hint: format!("{first}, or pass --within DIR if you trust the manifest with all of DIR") })
    }

    /// Returns the reason for refusing a directory of an application, if it is refused.
    #[must_use]
    pub fn refuse_application(&self, directory: &Utf8Path) -> Option<Refusal> {
        self.refuse(directory).or_else(|| self.ours(&real(directory)))
    }

    /// Returns the reason for not writing to a directory, if it is refused: the author of a commit chooses the targets
    /// of links in a repository.
    #[must_use]
    pub fn refuse_output(&self, directory: &Utf8Path) -> Option<Refusal> {
        let written = checked::plain_path(directory);
        let below = written.ancestors().find(|above| real(above) == self.top)?;
        let straight = self.top.join(written.strip_prefix(below).ok()?);
        let real = real(&written);
        (real != straight).then(|| Refusal {
            why: format!("is reached by a link of {} {}, to {real}", self.kind, self.top),
            hint: "Name a directory without links in its path".to_owned(),
        })
    }

    /// Refuses paths below the scope that belong to Git or deployer. The scope's own directory may be below such a
    /// path.
    fn ours(&self, real: &Utf8Path) -> Option<Refusal> {
        let below = real.strip_prefix(&self.top).unwrap_or(real);
        let hint = format!("Name another one instead of {real}");
        belongs_to_us(below).then(|| Refusal { why: "belongs to Git or deployer".to_owned(), hint })
    }
}

/// Returns true if any component belongs to Git or deployer.
#[must_use]
pub fn belongs_to_us(path: &Utf8Path) -> bool {
    path.components().any(|part| OURS.contains(&part.as_str()))
}

/// Returns the path without links, even if the path does not exist: the target of a link must not depend on existing
/// files.
fn real(path: &Utf8Path) -> Utf8PathBuf {
    let whole = camino::absolute_utf8(path).unwrap_or_else(|_| path.to_owned());
    let mut open: Vec<String> = parts(&whole);
    let mut at = Utf8PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = open.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(part);
        let Ok(target) = at.as_std_path().read_link() else { continue };
        links += 1;
        match Utf8PathBuf::from_path_buf(target) {
            Ok(target) if links <= LINKS => {
                at.pop();
                if target.is_absolute() {
                    at = "/".into();
                }
                open.extend(parts(&target));
            }
            // A loop is never opened; a target that is not UTF-8 may be anywhere.
            _ => return "/".into(),
        }
    }
    at
}

/// Returns the names and `..` components of a path, last first.
fn parts(path: &Utf8Path) -> Vec<String> {
    let names = path.components().filter(|part| matches!(part, Utf8Component::Normal(_) | Utf8Component::ParentDir));
    names.map(|part| part.as_str().to_owned()).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_scope_is_the_innermost_repository_else_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        for path in ["repository/.git", "repository/deploy", "repository/shop", "outside/sub", ".deployer/plain"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        symlink("../outside", root.join("repository/out")).unwrap();
        let refuses = |directory: &str, path: &str| {
            let scope = Scope::of(&root.join(directory), &Extent::Repository);
            scope.refuse(&root.join(directory).join(path)).is_some()
        };
        for inside in [".", "x", "..", "../shop", "../shop/../deploy", "../not/there"] {
            assert!(!refuses("repository/deploy", inside), "{inside}");
        }
        for outside in
            ["../..", "../../outside", "../out", "../out/sub", "../out/not/there", "/etc/passwd", "/", "../.git"]
        {
            assert!(refuses("repository/deploy", outside), "{outside}");
        }
        // A link to a path that does not exist reveals nothing about the target.
        symlink("../outside/not/there", root.join("repository/dangling")).unwrap();
        symlink("loop", root.join("repository/loop")).unwrap();
        for link in ["../dangling", "../dangling/below", "../loop"] {
            assert!(refuses("repository/deploy", link), "{link}");
        }
        // A link inside the repository does not open another scope; a link that leads to the repository does.
        assert!(refuses("repository/out", "sub"));
        symlink("repository/deploy", root.join("way")).unwrap();
        assert!(!refuses("way", "../shop") && !refuses("outside", "sub") && refuses("outside", ".."));
        // Only paths below the scope can belong to deployer.
        assert!(!refuses(".deployer/plain", "app") && refuses(".deployer/plain", ".deployer"));
    }

    #[test]
    fn nothing_is_written_through_a_link_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        std::fs::create_dir_all(root.join("repository/.git/hooks")).unwrap();
        symlink(".git/hooks", root.join("repository/out")).unwrap();
        symlink("repository", root.join("way")).unwrap();
        for (directory, output, refused) in [
            ("repository", "out", true),
            ("repository", "out/new", true),
            ("way", "out", true),
            ("repository", "new/er", false),
            ("way", "new", false),
            ("repository", ".git/hooks", false),
            ("repository", "../elsewhere", false),
        ] {
            let scope = Scope::of(&root.join(directory), &Extent::Anywhere);
            let refusal = scope.refuse_output(&root.join(directory).join(output));
            assert_eq!(refusal.is_some(), refused, "{directory} {output}");
        }
    }

    #[test]
    fn a_trusted_manifest_names_files_anywhere_on_a_disk() {
        let scope = Scope::of("/".into(), &Extent::Anywhere);
        assert_eq!(scope.refuse("/etc/passwd".into()), None);
        assert_eq!(scope.refuse("/x/.git/config".into()), None);
        assert!(scope.refuse("/proc/self/environ".into()).is_some());
        assert!(
            scope.refuse_application("/x/.git".into()).is_some()
                && Scope::default().refuse_application("/x".into()).is_none()
        );
    }
}
