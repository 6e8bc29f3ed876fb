//! Follows a Git checkout: fetches, and fast-forwards if that is possible. Does not merge, rebase, reset or stash, and
//! does not ask for a password.

use crate::io::process::{self, Environment};
use crate::model::failure::{Failure, Reason};
use camino::Utf8Path;
use std::time::Duration;

/// The time limit of one command.
const LIMIT: Duration = Duration::from_mins(2);

/// The result of following.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The upstream has nothing new.
    Same,
    /// The checkout was fast-forwarded to this commit.
    Moved(String),
}

/// Fetches the upstream of the checked-out branch and fast-forwards to it.
///
/// # Errors
/// `GitPull`, with Git's own message: no checkout, no upstream, no network, diverged histories, or local edits in the
/// way. The checkout is then unchanged.
pub async fn follow(directory: &Utf8Path) -> Result<Followed, Failure> {
    let before = git(directory, &["rev-parse", "HEAD"], "Cannot read the checked-out commit").await?;
    git(directory, &["fetch", "--quiet"], "The upstream cannot be fetched").await?;
    let upstream = git(directory, &["rev-parse", "@{upstream}"], "The branch has no upstream").await?;
    if upstream == before || is_ancestor(directory, &upstream, &before).await? {
        return Ok(Followed::Same);
    }
    if !is_ancestor(directory, &before, &upstream).await? {
        let message = format!("The checkout in {directory} and its upstream have diverged: the checkout was not moved");
        let hint = "Rebase or reset the checkout by hand. Until then it is not changed";
        return Err(Failure::new(Reason::GitPull, message).hint(hint));
    }
    git(directory, &["merge", "--ff-only", "--quiet", &upstream], "The checkout cannot be moved forward").await?;
    Ok(Followed::Moved(upstream))
}

async fn is_ancestor(directory: &Utf8Path, one: &str, other: &str) -> Result<bool, Failure> {
    let finished = run(directory, &["merge-base", "--is-ancestor", one, other]).await?;
    match finished.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(failed(directory, "The histories cannot be compared", &finished.stderr)),
    }
}

async fn git(directory: &Utf8Path, arguments: &[&str], what: &str) -> Result<String, Failure> {
    let finished = run(directory, arguments).await?;
    if !finished.status.success() {
        return Err(failed(directory, what, &finished.stderr));
    }
    Ok(String::from_utf8_lossy(&finished.stdout).trim().to_owned())
}

async fn run(directory: &Utf8Path, arguments: &[&str]) -> Result<process::Finished, Failure> {
    let words = ["env", "LC_ALL=C", "git", "-c", "core.hooksPath=/dev/null", "-C", directory.as_str()];
    let argv: Vec<String> = words.iter().chain(arguments).map(ToString::to_string).collect();
    process::run_in(Environment::Git, &argv, b"", LIMIT).await
}

fn failed(directory: &Utf8Path, what: &str, stderr: &[u8]) -> Failure {
    let said = without_logins(&String::from_utf8_lossy(stderr));
    Failure::new(Reason::GitPull, format!("{what} in {directory}")).or_disk_of_host(&said, directory).details(said)
}

/// Replaces the logins in URLs with `***`: Git's messages repeat the URL of the remote.
fn without_logins(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || "/'\"".contains(c)).unwrap_or(part.len());
        let login = part[..end].rfind('@');
        out += "://";
        out += &login.map_or_else(|| part.to_owned(), |at| format!("***{}", &part[at..]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_of_a_remote_is_not_printed() {
        let said = "fatal: unable to access 'https://me:to%20ken@git.example/a@b/': 403\nhttps://git.example/x y@z";
        let shown = "fatal: unable to access 'https://***@git.example/a@b/': 403\nhttps://git.example/x y@z";
        assert_eq!(without_logins(said), shown);
    }

    async fn sh(directory: &Utf8Path, script: &str) {
        let script = format!(
            "set -e; cd '{directory}'; export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
             GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; {script}"
        );
        let argv = ["sh", "-c", &script].map(str::to_owned);
        let finished = process::run(&argv, b"", LIMIT).await.unwrap();
        assert!(finished.status.success(), "{script}: {}", String::from_utf8_lossy(&finished.stderr));
    }

    #[tokio::test]
    async fn moves_forward_only() {
        let folder = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(folder.path()).unwrap();
        let here = base.join("here");
        assert_eq!(follow(base).await.unwrap_err().reason, Reason::GitPull);
        sh(
            base,
            "git init -q -b main there; cd there; echo 1 >f; git add f; git commit -qm one; cd ..; git clone -q there here",
        )
        .await;
        assert_eq!(follow(&here).await.unwrap(), Followed::Same);

        sh(base, "cd there; echo 2 >f; git commit -qam two").await;
        assert!(matches!(follow(&here).await.unwrap(), Followed::Moved(commit) if commit.len() == 40));
        assert_eq!(std::fs::read_to_string(here.join("f")).unwrap(), "2\n");

        // Local commits alone are no failure.
        sh(base, "cd here; echo own >own; git add own; git commit -qm own").await;
        assert_eq!(follow(&here).await.unwrap(), Followed::Same);

        sh(base, "cd there; echo 3 >f; git commit -qam three").await;
        let apart = follow(&here).await.unwrap_err();
        assert!(apart.message().ends_with("have diverged: the checkout was not moved"), "{apart}");
        assert_eq!(std::fs::read_to_string(here.join("f")).unwrap(), "2\n");

        // A local edit in the way is not overwritten.
        sh(base, "cd here; git reset -q --hard HEAD~1; echo edited >f").await;
        let blocked = follow(&here).await.unwrap_err();
        assert!(blocked.details.as_ref().is_some_and(|said| said.contains("local changes")), "{}", blocked.message());
        assert_eq!(std::fs::read_to_string(here.join("f")).unwrap(), "edited\n");
        sh(base, "rm -r there").await;
        assert!(follow(&here).await.unwrap_err().message().starts_with("The upstream cannot be fetched"));
    }
}
