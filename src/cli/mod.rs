//! The command line: one file per command, whose doc comment is its help. The commands call the reconcile engine and do
//! none of its work: arguments in, exit code out.

mod apply;
mod backup;
mod check;
mod completions;
mod configure;
mod create;
mod destroy;
mod exec;
mod graph;
mod hand_over;
mod help;
mod history;
mod import;
mod init;
mod inventory;
mod invocation;
mod limits;
mod list;
mod logs;
mod man;
mod new_host;
mod plan;
mod probe;
mod provision;
mod register;
mod release;
mod render;
mod restart;
mod restore;
mod resume;
mod rollback;
mod run;
mod schema;
mod show;
mod ssh;
mod state;
mod status;
mod suspend;
mod test;
mod unlock;
mod usage;
mod watch;

use help::GLOBAL;
pub use help::command;

use crate::model::ending::Ending;
use crate::model::event::{Event, ResultView};
use crate::model::failure::Failure;
use crate::reconcile::context::Context;
use crate::reconcile::runtime::block_on;
use crate::render::Format;
use camino::Utf8PathBuf;
use clap::{ColorChoice, FromArgMatches, Parser, Subcommand};
use invocation::Invocation;
use std::ffi::OsString;
use std::process::ExitCode;

/// Deploys Docker Compose applications to hosts over SSH, as declared in one manifest.
#[derive(Debug, Parser)]
#[command(name = "deployer", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "deployer plan --file shop/deployment.yaml")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten, next_help_heading = GLOBAL)]
    global: Global,
}

/// The options of every command.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Global {
    /// The manifest; - is standard input
    #[arg(
        short,
        long,
        global = true,
        env = "DEPLOYER_FILE",
        hide_env_values = true,
        default_value = "deployment.yaml",
        value_name = "FILE"
    )]
    file: Utf8PathBuf,
    /// The state store, as sqlite:PATH; overrides the manifest
    #[arg(long, global = true, env = "DEPLOYER_STATE", hide_env_values = true, value_name = "URL")]
    state: Option<String>,
    /// The OpenTofu program [default: tofu, or else terraform]
    #[arg(long, global = true, env = "DEPLOYER_TOFU", hide_env_values = true, value_name = "PATH")]
    tofu: Option<Utf8PathBuf>,
    /// On a CI runner: allow the state of machines in a local file
    #[arg(long, global = true, env = "DEPLOYER_ALLOW_LOCAL_STATE", hide_env_values = true)]
    allow_local_state: bool,
    /// Read the manifest's files only inside DIR [default: its Git repository for commands that only look, or else
    /// anywhere]
    #[arg(long, global = true, env = "DEPLOYER_WITHIN", hide_env_values = true, value_name = "DIR")]
    within: Option<Utf8PathBuf>,
    /// Trust hosts whose keys are not known yet; apply and register remember the keys
    #[arg(long, global = true)]
    accept_new_host_keys: bool,
    /// Print JSON lines on standard output and ask nothing
    #[arg(long, global = true)]
    json: bool,
    /// When to color the output
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    /// Print more details
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Check(check::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Watch(watch::Args),
    Status(status::Args),
    List(list::Args),
    Test(test::Args),
    Show(show::Args),
    Graph(graph::Args),
    Logs(logs::Args),
    History(history::Args),
    Exec(exec::Args),
    Restart(restart::Args),
    Ssh(ssh::Args),
    Inventory(inventory::Args),
    Render(render::Args),
    Resume(resume::Args),
    Rollback(rollback::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Unlock(unlock::Args),
    Suspend(suspend::Args),
    Destroy(destroy::Args),
    State(state::Args),
    Create(create::Args),
    Import(import::Args),
    Register(register::Args),
    Provision(provision::Args),
    Configure(configure::Args),
    Release(release::Args),
    Run(run::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(hide = true)]
    Probe(probe::Args),
}

/// Parses the arguments, runs the command and reports how it ended.
pub fn main() -> ExitCode {
    crate::render::guard_panics();
    completions::answer();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let parsed = command().try_get_matches_from(&arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return usage::end(&error, &arguments),
    };
    let command = &cli.command;
    let name = command.name();
    let invocation = match Invocation::new(&cli.global, name, command.format(), command.only_looks()) {
        Ok(invocation) => invocation,
        Err((render, failure)) => {
            render.event(&Event::Failure(failure.clone()));
            return end(render.as_ref(), name, Ending::of(&[failure], false));
        }
    };
    let ending = limits::run(&invocation, cli.command, dispatch).unwrap_or_else(|failure| {
        invocation.render.event(&Event::Failure(failure.clone()));
        Ending::of(&[failure], false)
    });
    end(invocation.render.as_ref(), name, ending)
}

/// Reports the result. A result that could not be written is a failure.
fn end(render: &dyn crate::render::Render, command: &'static str, ending: Ending) -> ExitCode {
    render.event(&Event::Result(ResultView { command, outcome: ending.outcome, exit_code: ending.exit_code }));
    if ending.exit_code == 0 && render.lost() { ExitCode::FAILURE } else { ExitCode::from(ending.exit_code) }
}

fn dispatch(invocation: &Invocation, command: Command) -> Result<Ending, Failure> {
    let context = &invocation.context;
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Schema(args) => Ok(schema::run(context, &args)),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
        Command::Check(args) => block_on(context, check::run(context, args)),
        Command::Plan(args) => block_on(context, plan::run(context, args)),
        Command::Apply(args) => block_on(context, apply::run(context, args)),
        Command::Watch(args) => block_on(context, watch::run(context, args)),
        Command::Status(args) => block_on(context, status::run(context, args)),
        Command::List(args) => block_on(context, list::run(context, args)),
        Command::Test(args) => block_on(context, test::run(context, args)),
        Command::Show(args) => block_on(context, show::run(context, args)),
        Command::Graph(args) => block_on(context, graph::run(context, args)),
        Command::Logs(args) => block_on(context, logs::run(context, args)),
        Command::History(args) => block_on(context, history::run(context, args)),
        Command::Exec(args) => block_on(context, exec::run(invocation, args)),
        Command::Restart(args) => block_on(context, restart::run(context, args)),
        Command::Ssh(args) => block_on(context, ssh::run(invocation, args)),
        Command::Inventory(args) => block_on(context, inventory::run(context, args)),
        Command::Render(args) => block_on(context, render::run(context, args)),
        Command::Resume(args) => block_on(context, resume::run(context, args)),
        Command::Suspend(args) => block_on(context, suspend::run(context, args)),
        Command::Unlock(args) => block_on(context, unlock::run(context, args)),
        Command::Backup(args) => block_on(context, backup::run(context, args)),
        Command::Restore(args) => block_on(context, restore::run(context, args)),
        Command::Rollback(args) => block_on(context, rollback::run(context, args)),
        Command::State(args) => block_on(context, state::run(context, args)),
        Command::Destroy(args) => block_on(context, destroy::run(context, args)),
        Command::Create(args) => Ok(create::run(context, args)),
        Command::Import(args) => Ok(import::run(context, args)),
        Command::Register(args) => block_on(context, register::run(context, args)),
        Command::Provision(args) => block_on(context, provision::run(context, args)),
        Command::Configure(args) => block_on(context, configure::run(context, args)),
        Command::Release(args) => block_on(context, release::run(context, args)),
        Command::Run(args) => block_on(context, run::run(context, args)),
        Command::Probe(args) => block_on(context, probe::run(context, args)),
    }
}

impl Command {
    /// Returns the output format, if the command has its own.
    const fn format(&self) -> Format {
        match self {
            Self::Plan(plan::Args { format: plan::Format::Markdown, .. }) => Format::Markdown,
            Self::Plan(plan::Args { format: plan::Format::Github, .. })
            | Self::Check(check::Args { format: check::Format::Github, .. }) => Format::Github,
            Self::Check(check::Args { format: check::Format::Json, .. })
            | Self::Test(test::Args { format: test::Format::Json, .. }) => Format::Json,
            Self::Test(test::Args { format: test::Format::Junit, .. }) => Format::Junit,
            Self::Watch(_) => Format::Log,
            _ => Format::Terminal,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Check(_) => "check",
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
            Self::Watch(_) => "watch",
            Self::Status(_) => "status",
            Self::List(_) => "list",
            Self::Test(_) => "test",
            Self::Show(_) => "show",
            Self::Graph(_) => "graph",
            Self::Logs(_) => "logs",
            Self::History(_) => "history",
            Self::Exec(_) => "exec",
            Self::Restart(_) => "restart",
            Self::Ssh(_) => "ssh",
            Self::Inventory(_) => "inventory",
            Self::Render(_) => "render",
            Self::Resume(_) => "resume",
            Self::Suspend(_) => "suspend",
            Self::Unlock(_) => "unlock",
            Self::Rollback(_) => "rollback",
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Destroy(_) => "destroy",
            Self::State(_) => "state",
            Self::Create(_) => "create",
            Self::Import(_) => "import",
            Self::Register(_) => "register",
            Self::Provision(_) => "provision",
            Self::Configure(_) => "configure",
            Self::Release(_) => "release",
            Self::Run(_) => "run",
            Self::Schema(_) => "schema",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
            Self::Probe(_) => "probe",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Cli {
        let matches = command().try_get_matches_from(arguments).expect("a command line");
        Cli::from_arg_matches(&matches).expect("arguments")
    }

    #[test]
    fn the_short_f_is_the_file_before_logs_and_follow_after_it() {
        for arguments in
            [["deployer", "-f", "a.yaml", "logs", "web", "-f"], ["deployer", "logs", "web", "-f", "--file", "a.yaml"]]
        {
            let cli = parsed(&arguments);
            assert_eq!(cli.global.file, "a.yaml");
            assert!(matches!(cli.command, Command::Logs(logs::Args { follow: true, .. })));
        }
        assert_eq!(parsed(&["deployer", "logs", "web"]).global.file, "deployment.yaml");
        assert_eq!(parsed(&["deployer", "plan", "-f", "a.yaml"]).global.file, "a.yaml");
    }

    #[test]
    fn the_names_are_those_of_the_command_line() {
        for name in command().get_subcommands().map(clap::Command::get_name) {
            let more: &[&str] = match name {
                "create" | "register" => &["web", "--host", "a"],
                "import" => &["--from", "a.json", "--host", "a"],
                "render" => &["web", "-o", "out"],
                "exec" => &["web", "app", "--", "true"],
                "restart" | "ssh" | "show" | "logs" | "probe" | "resume" | "rollback" | "backup" | "restore"
                | "unlock" | "suspend" | "destroy" | "provision" | "configure" | "release" | "run" => &["web"],
                "state" => &["forget", "web"],
                "completions" => &["bash"],
                _ => &[],
            };
            assert_eq!(parsed(&[&["deployer", name], more].concat()).command.name(), name);
        }
    }
}
