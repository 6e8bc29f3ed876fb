//! `deployer release`: applies up to the stage `released`. Destroys nothing.

use super::{Context, Ending, apply};
use crate::model::state::Stage;
use crate::reconcile::converge;

/// Upload an application's files and images to its hosts
///
/// The same as deployer apply ENV… --to released.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer release production")]
pub struct Args {
    /// The environments and the options.
    #[command(flatten)]
    pub named: apply::Named,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    converge::run(context, &args.named.asked(context.command, Stage::Released)).await
}
