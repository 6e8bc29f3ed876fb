//! `deployer status`: prints the status of environments. Changes nothing.

use super::{Context, Ending};
use crate::reconcile::look;
use crate::reconcile::pass::refuse;

/// Show stage, health, drift and endpoints
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer status --offline")]
pub struct Args {
    /// Environments; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Show the last recorded state; contacts no host
    #[arg(long)]
    pub offline: bool,
    /// Exit with 1 if an environment does not match the manifest
    #[arg(long)]
    pub exit_code: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let looked = look::status(context, &args.environments, args.offline, args.exit_code).await;
    looked.unwrap_or_else(|failures| refuse(context, &failures))
}
