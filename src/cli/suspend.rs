//! `deployer suspend`: leaves an environment alone until it is resumed. Stops nothing on the host.

use super::{Context, Ending};
use crate::reconcile::suspend;

/// Leave environments alone: apply and watch pass over them until they are resumed
///
/// What runs there goes on. The host remembers it, so it holds for every runner.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    suspend::run(context, &args.environments, true).await
}
