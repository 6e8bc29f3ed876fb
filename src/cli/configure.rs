//! `deployer configure`: applies up to the stage `configured`. Destroys nothing.

use super::{Context, Ending, apply};
use crate::model::state::Stage;
use crate::reconcile::converge;

/// Give hosts what applications need: a Docker engine
///
/// The same as apply ENV… --to configured.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is brought to that stage, and how.
    #[command(flatten)]
    pub named: apply::Named,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    converge::run(context, &args.named.asked(context.command, Stage::Configured)).await
}
