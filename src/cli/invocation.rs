//! One call of the command line: the context of its run, made from the global options and the process's environment. No
//! other part of the commands reads the environment.

use super::Global;
use crate::model::failure::{Failure, Reason};
use crate::model::front::{self, Front};
use crate::reconcile::context::{self, Context};
use crate::reconcile::machine::Tools;
use crate::reconcile::stores::Stores;
use crate::render::{self, Format, Render};
use camino::Utf8PathBuf;
use jiff::Timestamp;
use std::sync::Arc;

/// A call of the command line.
#[derive(Clone)]
pub(super) struct Invocation {
    /// The context of the run.
    pub(super) context: Context,
    /// The renderer, which is the run's front.
    pub(super) render: Arc<dyn Render>,
    /// True if the output is JSON lines, which also disables prompts.
    pub(super) json: bool,
}

impl Invocation {
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
                let failure = Failure::new(Reason::Usage, "The working directory cannot be read").because(error);
                return Err((render, failure.hint("Change to a directory that exists")));
            }
        };
        let extent = match context::extent(global.within.as_deref(), only_looks) {
            Ok(extent) => extent,
            Err(failure) => return Err((render, failure)),
        };
        let front = Arc::clone(&render) as Arc<dyn Front>;
        let context = Context {
            command,
            extent,
            sink: front::sink(&front),
            front,
            file: global.file.clone(),
            state: global.state.clone(),
            directory,
            home: home(),
            accept_new_host_keys: global.accept_new_host_keys,
            verbose: global.verbose,
            only_looks,
            by: by(),
            ci: ci(),
            tools: tools(global),
            stores: Stores::default(),
            now: now(),
        };
        Ok(Self { context, render, json: format == Format::Json })
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
