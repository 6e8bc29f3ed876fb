//! `deployer run`: applies up to the stage `running`. Destroys nothing.

use super::{Context, Ending, apply};
use crate::model::state::Stage;
use crate::reconcile::converge;

/// Start an application and wait until it is healthy
///
/// The same as deployer apply ENV… --to running.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer run production")]
pub struct Args {
    /// The environments and the options.
    #[command(flatten)]
    pub named: apply::Named,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    converge::run(context, &args.named.asked(context.command, Stage::Running)).await
}
