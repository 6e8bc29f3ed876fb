//! `deployer apply`: one whole reconcile pass. Applies only what its plan showed.

use super::{Context, Ending};
use crate::model::failure::{Failure, Reason};
use crate::model::state::Stage;
use crate::reconcile::converge;
use crate::reconcile::pass::refuse;
use crate::reconcile::request::{Asked, Goal};
use crate::reconcile::saved;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::time::Duration;

/// Make the hosts match the manifest
///
/// Shows the plan and asks for confirmation at a terminal. Without a terminal it continues, unless the plan destroys
/// something. It can be run again at any time: it continues from the state of the hosts.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer apply production")]
pub struct Args {
    /// Environments, with those that they depend on; all if none is named. Or the file of a saved plan, whose name
    /// contains a dot or a slash
    #[arg(value_name = "PLAN | ENV")]
    pub environments: Vec<String>,
    /// Stop after this stage; destroys nothing
    #[arg(long, value_name = "STAGE", value_parser = upward_stage())]
    pub to: Option<Stage>,
    /// The options.
    #[command(flatten)]
    pub options: Options,
}

/// Arguments of the lifecycle commands: environments by name, and the options of `apply`.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Environments, with those that they depend on
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
    /// The options.
    #[command(flatten)]
    pub options: Options,
}

impl Named {
    /// Turns these arguments into the request for a pass.
    pub fn asked(self, command: &'static str, to: Stage) -> Asked {
        self.options.asked(command, self.environments, to)
    }
}

/// The options of `apply` and of the lifecycle commands.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// The number of environments that are changed at the same time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: u16,
    /// Consent to destroying what the plan destroys in this environment; repeatable
    #[arg(long, value_name = "ENV")]
    pub allow_destroy: Vec<String>,
    /// Try releases that were rolled back again
    #[arg(long)]
    pub retry: bool,
    /// Start without this volume, directory or file, which the live release had and is gone; repeatable
    #[arg(long, value_name = "VOLUME|PATH")]
    pub new_volume: Vec<String>,
    /// How long to wait for another run that has locked the same environment
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = humantime::parse_duration)]
    pub wait: Duration,
    /// Take over a directory or a Compose project on the host that belongs to another environment or another owner
    #[arg(long)]
    pub take_over: bool,
}

/// Returns a parser of all stages except `destroyed`: `--to` only goes up.
fn upward_stage() -> impl TypedValueParser<Value = Stage> {
    const STAGES: [Stage; 5] = [Stage::Created, Stage::Provisioned, Stage::Configured, Stage::Released, Stage::Running];
    PossibleValuesParser::new(STAGES.map(Stage::name))
        .try_map(|name| STAGES.into_iter().find(|stage| stage.name() == name).ok_or("not a stage"))
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    match asked(context, args) {
        Ok(asked) => converge::run(context, &asked).await,
        Err(failure) => refuse(context, &[failure]),
    }
}

fn asked(context: &Context, args: Args) -> Result<Asked, Failure> {
    let to = args.to.unwrap_or(Stage::Running);
    let Some(file) = args.environments.iter().find(|argument| saved::is_file(argument)) else {
        return Ok(args.options.asked(context.command, args.environments, to));
    };
    if args.environments.len() > 1 || args.to.is_some() {
        let message = format!("{file} is a saved plan, which already names its environments and its stage");
        return Err(Failure::new(Reason::Usage, message).hint("Leave out --to and the names of environments"));
    }
    let saved = Some(saved::read(file)?);
    // A user who applies a saved plan has already seen it.
    let options = Options { yes: true, ..args.options };
    Ok(Asked { saved, ..options.asked(context.command, Vec::new(), to) })
}

impl Options {
    /// Turns these options into the request for a pass.
    pub fn asked(self, command: &'static str, environments: Vec<String>, to: Stage) -> Asked {
        Asked {
            retry: self.retry,
            new_volumes: self.new_volume,
            yes: self.yes,
            parallel: usize::from(self.parallel),
            allow_destroy: self.allow_destroy,
            wait: self.wait,
            take_over: self.take_over,
            ..Asked::new(command, environments, Goal::Reach(to))
        }
    }
}
