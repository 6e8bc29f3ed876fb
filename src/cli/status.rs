//! `deployer status`: prints the status of environments. Changes nothing.

use super::{Context, Ending};
use crate::reconcile::look;
use crate::reconcile::pass::refuse;

/// Show stage, health, drift and endpoints
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments; all where none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Show what was recorded last; contacts no host
    #[arg(long)]
    pub offline: bool,
    /// Exit with 1 where an environment is not as the manifest wants it
    #[arg(long)]
    pub exit_code: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let looked = look::status(context, &args.environments, args.offline, args.exit_code).await;
    looked.unwrap_or_else(|failures| refuse(context, &failures))
}
