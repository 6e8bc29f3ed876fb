//! `deployer completions`: a script for a shell. Never installs it.

use super::{Context, Ending};
use crate::event::{Event, Outcome};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "deployer", &mut script);
    context.say(Event::Output(String::from_utf8_lossy(&script).into_owned()));
    Ending::ok(Outcome::Ok)
}
