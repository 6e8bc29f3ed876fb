//! The context of every command: output, files, clock. Built once; no other part of the commands reads the environment
//! of the process.

use super::Global;
use super::stores::Stores;
use crate::io::store::Store;
use crate::manifest::environment::Name;
use crate::manifest::scope::{Extent, Scope};
use crate::manifest::{self, Manifest};
use crate::model::event::{Event, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::holder::Holder;
use crate::reconcile::machine::{Tools, Workshop};
use crate::reconcile::session::Claim;
use crate::render::{self, Format, Render};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The state store if neither the command line nor the manifest names one.
const DEFAULT_STATE: &str = "sqlite:.deployer/state.db";

/// The context of a command.
#[derive(Clone)]
pub struct Context {
    /// The command's name.
    pub command: &'static str,
    /// The receiver of events.
    pub sink: Sink,
    /// The renderer behind the sink, which also asks questions.
    pub render: Arc<dyn Render>,
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
    /// True if the output is JSON lines, which also disables prompts.
    pub json: bool,
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
    /// Reads the process's environment. The error includes a renderer that can print it.
    pub(super) fn new(
        global: &Global,
        command: &'static str,
        format: Format,
        only_looks: bool,
    ) -> Result<Self, (Arc<dyn Render>, Failure)> {
        let format = if global.json { Format::Json } else { format };
        let render = render::open(render::Options {
            format,
            file: global.file.to_string(),
            now: now(),
            color: global.color,
            verbose: global.verbose,
            dumb: variable("TERM").is_some_and(|terminal| terminal == "dumb"),
            ci: in_ci(),
            workflow: workflow(),
        });
        let directory = match std::env::current_dir().map(Utf8PathBuf::from_path_buf) {
            Ok(Ok(directory)) => directory,
            Ok(Err(_)) => {
                return Err((render, Failure::new(Reason::Usage, "The working directory's path is not UTF-8")));
            }
            Err(error) => {
                let message = format!("The working directory cannot be read: {error}");
                return Err((render, Failure::new(Reason::Usage, message).hint("Change to a directory that exists")));
            }
        };
        let extent = match extent(global, only_looks) {
            Ok(extent) => extent,
            Err(failure) => return Err((render, failure)),
        };
        Ok(Self {
            command,
            extent,
            sink: render::sink(&render),
            render,
            file: global.file.clone(),
            state: global.state.clone(),
            directory,
            home: home(),
            json: format == Format::Json,
            verbose: global.verbose,
            only_looks,
            by: by(),
            ci: ci(),
            tools: tools(global),
            stores: Stores::default(),
            now: now(),
        })
    }

    /// Returns the claim with which this command takes leases.
    #[must_use]
    pub fn claim(&self, wait: Duration) -> Claim {
        Claim { holder: Holder::here(&self.by, self.command, self.ci.clone()), wait }
    }

    /// Reads the manifest, and prevents that an application sends the store that this run uses.
    ///
    /// # Errors
    /// As [`manifest::load`].
    pub fn manifest(&self) -> Result<Manifest, Vec<Failure>> {
        let mut manifest = manifest::load_within(self.file.as_str(), self.home.as_deref(), &self.extent)?;
        let (url, directory) = self.store(Some(&manifest.state));
        manifest.withhold_store(&url, &directory);
        Ok(manifest)
    }

    /// Returns the tools that make machines; `state` is the manifest's store.
    #[must_use]
    pub fn workshop(&self, state: &str, store: Option<&Arc<Store>>) -> Workshop {
        let (url, directory) = self.store(Some(state));
        let beside = Store::folder(&url, &directory);
        Workshop {
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
    #[must_use]
    pub fn confirm(&self, question: &str) -> bool {
        let answer = self.render.ask(&format!("{question} [y/N]"));
        answer.is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Asks a question while other tasks go on. Returns `None` without a terminal or an answer.
    pub async fn ask(&self, question: String) -> Option<String> {
        let render = Arc::clone(&self.render);
        tokio::task::spawn_blocking(move || render.ask(&question)).await.ok().flatten()
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

/// Returns the extent of the manifest's files for this command.
fn extent(global: &Global, only_looks: bool) -> Result<Extent, Failure> {
    match &global.within {
        None if only_looks => Ok(Extent::Repository),
        None => Ok(Extent::Anywhere),
        Some(directory) => {
            let cannot = |error| Failure::new(Reason::Usage, format!("Cannot read files inside {directory}: {error}"));
            let real = directory.canonicalize_utf8().map_err(cannot)?;
            real.read_dir().map_err(cannot)?;
            Ok(Extent::Directory(real))
        }
    }
}

/// Returns the settings for finding and running OpenTofu. Local files of a CI runner do not last.
fn tools(global: &Global) -> Tools {
    let set = |name| variable(name).filter(|path| path.starts_with('/')).map(Utf8PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    Tools {
        program: global.tofu.as_ref().map(ToString::to_string),
        plugins: cache.unwrap_or_else(|| "/var/cache".into()).join("deployer/plugins"),
        settings: variable("TF_CLI_CONFIG_FILE").filter(|path| !path.is_empty()).map(Utf8PathBuf::from),
        fleeting: is_set("CI") && !global.allow_local_state,
    }
}

/// Expands `sqlite:~/PATH` with the home directory.
fn expand(url: &str, home: Option<&Utf8Path>) -> String {
    url.strip_prefix("sqlite:").map_or_else(|| url.to_owned(), |path| format!("sqlite:{}", at_home(path, home)))
}

/// Expands `~/PATH` with the home directory.
pub(super) fn at_home(path: &str, home: Option<&Utf8Path>) -> Utf8PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}

/// Returns true if a variable is set to a value that means yes.
fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| !matches!(value.as_str(), "" | "false" | "0"))
}

/// Returns true if a CI service keeps the output.
pub(super) fn in_ci() -> bool {
    ["CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "TEAMCITY_VERSION"].into_iter().any(is_set)
}

/// Returns the files of a GitHub workflow's step, if this is one.
fn workflow() -> Option<render::Files> {
    let path = |name| variable(name).filter(|path| !path.is_empty()).map(Utf8PathBuf::from);
    let files = || render::Files { summary: path("GITHUB_STEP_SUMMARY"), output: path("GITHUB_OUTPUT") };
    variable("GITHUB_ACTIONS").is_some_and(|value| value == "true").then(files)
}

/// Returns the address of the CI run, from the variables of GitHub, GitLab or Jenkins.
fn ci() -> Option<String> {
    let github = || {
        let (server, repository) = (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", variable("GITHUB_RUN_ID")?))
    };
    github().or_else(|| variable("CI_JOB_URL")).or_else(|| variable("BUILD_URL"))
}

fn by() -> String {
    let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match machine.trim() {
        "" => user,
        machine => format!("{user}@{machine}"),
    }
}

/// Returns the user's home directory.
pub(super) fn home() -> Option<Utf8PathBuf> {
    variable("HOME").filter(|home| !home.is_empty()).map(Utf8PathBuf::from)
}

#[expect(clippy::disallowed_methods, reason = "the one place of the commands that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the one place where the clock is taken")]
pub(super) const fn now() -> fn() -> Timestamp {
    Timestamp::now
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
