//! The context of a run: front, files, clock. Any front builds one, once a run; the engine reads nothing of the
//! process's environment.

use crate::io::process;
use crate::io::store::Store;
use crate::manifest::below;
use crate::manifest::environment::Name;
use crate::manifest::scope::{Extent, Scope};
use crate::manifest::{self, Manifest};
use crate::model::event::{Event, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::front::Front;
use crate::model::holder::Holder;
use crate::reconcile::machine::{Provisioner, Tools};
use crate::reconcile::session::Claim;
use crate::reconcile::stores::Stores;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The state store if neither the command line nor the manifest names one.
const DEFAULT_STATE: &str = "sqlite:.deployer/state.db";

/// The context of a run.
#[derive(Clone)]
pub struct Context {
    /// The command's name.
    pub command: &'static str,
    /// The receiver of events.
    pub sink: Sink,
    /// The front behind the sink, which also answers questions.
    pub front: Arc<dyn Front>,
    /// The manifest as the user named it; `-` is standard input.
    pub file: Utf8PathBuf,
    /// The value of `--state` or `DEPLOYER_STATE`.
    pub state: Option<String>,
    /// The extent of the directories that may hold the manifest's files.
    pub extent: Extent,
    /// The absolute working directory.
    pub directory: Utf8PathBuf,
    /// The user's home directory, for `~`.
    pub home: Option<Utf8PathBuf>,
    /// True if an unknown host key is recorded instead of refused.
    pub accept_new_host_keys: bool,
    /// True if the output is verbose.
    pub verbose: bool,
    /// True if the command only looks at the repository. It then reads the state store and does not write to it.
    pub only_looks: bool,
    /// The user who runs this, for leases and the history: `user@machine`.
    pub by: String,
    /// The address of the current CI run, if any.
    pub ci: Option<String>,
    /// The settings for finding OpenTofu.
    pub tools: Tools,
    /// The open stores; they are closed when the command has ended, also after a failure.
    pub stores: Stores,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Context {
    /// Returns the claim with which this command takes leases.
    #[must_use]
    pub fn claim(&self, wait: Duration) -> Claim {
        Claim { holder: Holder::here(&self.by, self.command, self.ci.clone()), wait }
    }

    /// Reads the manifest, and prevents that an application sends the store that this run uses. From then on, the
    /// variables that the manifest's secrets are read from are withheld from every child process.
    ///
    /// # Errors
    /// As [`manifest::load`].
    pub fn manifest(&self) -> Result<Manifest, Vec<Failure>> {
        let mut manifest = manifest::load_within(self.file.as_str(), self.home.as_deref(), &self.extent)?;
        process::withhold(manifest.variables.iter().cloned());
        let (url, directory) = self.store(Some(&manifest.state));
        manifest.withhold_store(&url, &directory);
        Ok(manifest)
    }

    /// Returns the tools that make machines; `state` is the manifest's store.
    #[must_use]
    pub fn provisioner(&self, state: &str, store: Option<&Arc<Store>>) -> Provisioner {
        let (url, directory) = self.store(Some(state));
        let beside = Store::folder(&url, &directory);
        Provisioner {
            tools: Tools { fleeting: self.tools.fleeting && url.starts_with("sqlite:"), ..self.tools.clone() },
            store: store.map(Arc::clone),
            directory: beside.unwrap_or(directory).join("tofu"),
            found: OnceCell::new(),
            holder: Holder::here(&self.by, self.command, self.ci.clone()),
        }
    }

    /// Emits an event.
    pub fn say(&self, event: Event) {
        (self.sink)(event);
    }

    /// Asks a yes/no question. Returns false without a terminal.
    pub async fn confirm(&self, question: &str) -> bool {
        let answer = self.ask(format!("{question} [y/N]")).await;
        answer.is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Asks a question while other tasks go on. Returns `None` without a terminal or an answer.
    pub async fn ask(&self, question: String) -> Option<String> {
        let front = Arc::clone(&self.front);
        tokio::task::spawn_blocking(move || front.ask(&question)).await.ok().flatten()
    }

    /// Asks for an environment's name as consent. Returns true if the user types it; false without a terminal.
    pub async fn typed(&self, question: String, name: &str) -> bool {
        self.ask(question).await.is_some_and(|answer| answer.trim() == name)
    }

    /// Returns the base directory of relative paths in the manifest.
    #[must_use]
    pub fn manifest_directory(&self) -> Utf8PathBuf {
        match self.file.parent() {
            Some(parent) if self.file != "-" => self.directory.join(parent),
            _ => self.directory.clone(),
        }
    }

    /// Returns the name of a new project: the directory's name, if that is valid.
    #[must_use]
    pub fn project(&self) -> String {
        let directory = self.manifest_directory();
        directory.file_name().filter(|name| Name::parse(name).is_ok()).unwrap_or("shop").to_owned()
    }

    /// Returns the store's URL and the base directory of its relative path: from the command line, or else the
    /// manifest, or else the default.
    #[must_use]
    pub fn store(&self, manifest: Option<&str>) -> (String, Utf8PathBuf) {
        let (url, directory) = match &self.state {
            Some(url) => (url.as_str(), self.directory.clone()),
            None => (manifest.unwrap_or(DEFAULT_STATE), self.manifest_directory()),
        };
        (expand(url, self.home.as_deref()), directory)
    }

    /// Refuses an output directory if a link of the repository leads it elsewhere.
    ///
    /// # Errors
    /// `Usage`, before anything is written.
    pub fn admit_output(&self, directory: &Utf8Path) -> Result<(), Failure> {
        let scope = Scope::of(&self.manifest_directory(), &self.extent);
        let refusal = scope.refuse_output(&self.directory.join(directory));
        refusal.map_or(Ok(()), |refusal| Err(refusal.failure(Reason::Usage, directory)))
    }

    /// Returns the store like [`Context::store`], for opening. A store that the manifest names must be inside the
    /// extent of the manifest's files.
    ///
    /// # Errors
    /// `ManifestInvalid`, with the same message whether or not the file exists.
    pub fn admitted_store(&self, manifest: &Manifest) -> Result<(String, Utf8PathBuf), Failure> {
        let (url, directory) = self.store(Some(&manifest.state));
        let file = Store::file(&url, &directory).filter(|_| self.state.is_none());
        let refused = file.and_then(|file| {
            let refusal = Scope::of(&self.manifest_directory(), &self.extent).refuse_store(&file)?;
            Some(Failure::new(Reason::ManifestInvalid, format!("The state store {file} {}", refusal.why)))
        });
        match refused {
            Some(failure) => Err(failure.hint("If you trust that store, pass its path with --state sqlite:PATH")),
            None => Ok((url, directory)),
        }
    }
}

/// Returns the extent of the manifest's files: `within` if that is given, else the repository for a run that only
/// looks.
///
/// # Errors
/// `Usage` if `within` cannot be read.
pub fn extent(within: Option<&Utf8Path>, only_looks: bool) -> Result<Extent, Failure> {
    match within {
        None if only_looks => Ok(Extent::Repository),
        None => Ok(Extent::Anywhere),
        Some(directory) => {
            let cannot = |error: std::io::Error| {
                Failure::new(Reason::Usage, format!("Cannot read files inside {directory}")).because(error)
            };
            let real = directory.canonicalize_utf8().map_err(cannot)?;
            real.read_dir().map_err(cannot)?;
            Ok(Extent::Directory(real))
        }
    }
}

/// Writes a text file below a directory that was [admitted](Context::admit_output). A link with the file's name is
/// replaced, not written through.
///
/// # Errors
/// The errors of the file system.
pub fn write_below(directory: &Utf8Path, path: &Utf8Path, mut text: &[u8]) -> io::Result<()> {
    below::draft(directory, path, 0o644, &mut text)?.keep()
}

/// Expands `sqlite:~/PATH` with the home directory.
fn expand(url: &str, home: Option<&Utf8Path>) -> String {
    url.strip_prefix("sqlite:").map_or_else(|| url.to_owned(), |path| format!("sqlite:{}", at_home(path, home)))
}

/// Expands `~/PATH` with the home directory.
pub(crate) fn at_home(path: &str, home: Option<&Utf8Path>) -> Utf8PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_directory_is_expanded_in_a_store_url() {
        assert_eq!(expand("sqlite:~/s.db", Some("/home/u".into())), "sqlite:/home/u/s.db");
        assert_eq!(expand("sqlite:a~/s.db", Some("/home/u".into())), "sqlite:a~/s.db");
    }
}
