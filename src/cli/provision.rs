//! `deployer provision`: applies up to the stage `provisioned`. Destroys nothing.

use super::{Context, Ending, apply};
use crate::model::state::Stage;
use crate::reconcile::converge;

/// Make machines and connect to them
///
/// The same as deployer apply ENV… --to provisioned.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer provision lab")]
pub struct Args {
    /// The environments and the options.
    #[command(flatten)]
    pub named: apply::Named,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    converge::run(context, &args.named.asked(context.command, Stage::Provisioned)).await
}
