//! `deployer configure`: applies up to the stage `configured`. Destroys nothing.

use super::{Context, Ending, apply};
use crate::model::state::Stage;
use crate::reconcile::converge;

/// Set up hosts for applications: install the Docker engine
///
/// The same as deployer apply ENV… --to configured.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer configure production")]
pub struct Args {
    /// The environments and the options.
    #[command(flatten)]
    pub named: apply::Named,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    converge::run(context, &args.named.asked(context.command, Stage::Configured)).await
}
