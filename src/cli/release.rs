//! `deployer release`: apply up to the stage `released`. Never tears down.

use super::{Context, Ending, apply, converge};
use crate::state::Stage;

/// Bring an application's files and images to its hosts
///
/// The same as apply ENV… --to released.
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
    converge::run(context, &args.options.asked(context.command, args.environments, Stage::Released)).await
}
