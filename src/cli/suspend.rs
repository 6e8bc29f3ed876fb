//! `deployer suspend`: leaves an environment alone until it is resumed. Stops nothing on the host.

use super::{Context, Ending};
use crate::reconcile::suspend;

/// Suspend environments: apply and watch skip them until they are resumed
///
/// Running services keep running. The suspension is recorded on the host, so it applies to every runner.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer suspend production")]
pub struct Args {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    suspend::run(context, &args.environments, true).await
}
