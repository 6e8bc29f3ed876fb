//! `deployer resume`: ends a suspension. Applies nothing.

use super::{Context, Ending};
use crate::reconcile::suspend;

/// Resume suspended environments
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer resume production")]
pub struct Args {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    suspend::run(context, &args.environments, false).await
}
