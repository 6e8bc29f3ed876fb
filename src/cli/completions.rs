//! `deployer completions`: prints a shell script that asks this program for completions. Does not install the script.

use super::{Context, Ending, invocation};
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::entry;
use clap::{Arg, Command};
use clap_complete::env::Shells;
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate, Shell};
use std::ffi::OsStr;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "source <(deployer completions bash)")]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// The value name of arguments that take an environment's name.
const ENVIRONMENT: &str = "ENV";

/// The environment variable with which a script asks for completions.
const ASKED: &str = "DEPLOYER_COMPLETE";

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Ending, Failure> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let written = shells
        .completer(&args.shell.to_string())
        .map(|shell| shell.write_registration(ASKED, "deployer", "deployer", "deployer", &mut script));
    if !matches!(written, Some(Ok(()))) {
        return Err(Failure::new(Reason::Usage, format!("There is no script for {}", args.shell)));
    }
    context.say(Event::Output(String::from_utf8_lossy(&script).into_owned()));
    Ok(Ending::ok(Outcome::Ok))
}

/// Answers a script that asks for completions, and exits. Returns if no script asks.
pub fn answer() {
    CompleteEnv::with_factory(|| with_names(super::command())).var(ASKED).complete();
}

/// Adds the names of environments to each argument that takes one.
fn with_names(command: Command) -> Command {
    let takes = |argument: &Arg| {
        argument.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains(ENVIRONMENT)))
    };
    let name = |argument: Arg| {
        if takes(&argument) { argument.add(ArgValueCompleter::new(environments)) } else { argument }
    };
    command.mut_args(name).mut_subcommands(with_names)
}

/// Returns the environments of the manifest that the command line names so far. Prints no error if the manifest is
/// invalid.
fn environments(begun: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let chosen =
        words.windows(2).rfind(|pair| matches!(pair[0].as_str(), "-f" | "--file")).map(|pair| pair[1].as_str());
    let (home, begun) = (invocation::home(), begun.to_string_lossy());
    let names = entry::names(chosen.unwrap_or("deployment.yaml"), home.as_deref()).into_iter();
    names.filter(|name| name.starts_with(&*begun)).map(CompletionCandidate::new).collect()
}
