//! The files of a Git commit, in a directory of their own. Never touches the repository's index or working tree.

use crate::failure::{Failure, Reason};
use crate::process::{self, Environment};
use camino::{Utf8Path, Utf8PathBuf};
use std::time::Duration;

/// How long Git may take.
const LIMIT: Duration = Duration::from_mins(2);

/// A commit's files; they are removed with this value.
pub struct Checkout {
    /// Where `directory` of the repository lies in it.
    pub directory: Utf8PathBuf,
    _held: tempfile::TempDir,
}

/// Writes out what `reference` holds, for the repository that `directory` lies in.
///
/// # Errors
/// `ToolMissing` without Git, `RefUnknown` where there is no repository or no such commit in it.
pub async fn checkout(directory: &Utf8Path, reference: &str) -> Result<Checkout, Failure> {
    let unknown = |message: String| Failure::new(Reason::RefUnknown, message);
    let places = git(directory, &[], &["rev-parse", "--show-toplevel", "--show-prefix"]).await?;
    let places = places.map_err(|why| {
        unknown(format!("{directory} is not in a Git repository"))
            .hint("plan --against compares with a commit of the manifest's repository")
            .details(why)
    })?;
    let mut lines = places.lines();
    let (top, prefix) = (lines.next().unwrap_or_default().to_owned(), lines.next().unwrap_or_default());
    let missing = |why: String| unknown(format!("Git finds no commit `{reference}`")).details(why);
    if reference.starts_with('-') {
        return Err(missing(String::new()));
    }
    let verify = ["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")];
    let commit = git(directory, &[], &verify).await?.map_err(missing)?;

    let held = tempfile::tempdir().map_err(|error| unwritable(&error.to_string()))?;
    let place = Utf8Path::from_path(held.path()).ok_or_else(|| unwritable("its path is not UTF-8"))?;
    let tree = place.join("tree");
    std::fs::create_dir(&tree).map_err(|error| unwritable(&error.to_string()))?;
    let index = format!("GIT_INDEX_FILE={}", place.join("index"));
    let top = Utf8Path::new(&top);
    for words in [vec!["read-tree", commit.trim()], vec!["checkout-index", "--all", &format!("--prefix={tree}/")]] {
        let done = git(top, &["env", &index], &words).await?;
        done.map_err(|why| {
            Failure::new(Reason::CommandFailed, format!("Git cannot write out `{reference}`")).details(why)
        })?;
    }
    Ok(Checkout {
        directory: if prefix.is_empty() { tree } else { tree.join(prefix.trim_end_matches('/')) },
        _held: held,
    })
}

fn unwritable(why: &str) -> Failure {
    Failure::new(Reason::CommandFailed, format!("A temporary directory cannot be made: {why}"))
}

/// Git's standard output, or what it said where it failed.
async fn git(directory: &Utf8Path, before: &[&str], words: &[&str]) -> Result<Result<String, String>, Failure> {
    let argv: Vec<String> = before
        .iter()
        .chain(&["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-C", directory.as_str()])
        .chain(words)
        .map(ToString::to_string)
        .collect();
    let ended = process::run_in(Environment::Git, &argv, b"", LIMIT).await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // `env` says 127 where the program it is to start is missing; plain Git was found before.
    Ok(if ended.status.success() { Ok(text(&ended.stdout)) } else { Err(text(&ended.stderr)) })
}
