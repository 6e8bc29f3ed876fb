//! `deployer configure`: apply up to the stage `configured`. Never tears down.

use super::{Context, Ending, apply, converge};
use crate::state::Stage;

/// Give hosts what applications need: a Docker engine
///
/// The same as apply ENV… --to configured.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments, with those they depend on
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
    /// How to apply.
    #[command(flatten)]
    pub options: apply::Options,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    converge::run(context, &args.options.asked(context.command, args.environments, Stage::Configured)).await
}
