//! `deployer history`: prints who ran what and when, and the releases on a host. Changes nothing.

use super::{Context, Ending};
use crate::reconcile::history;

/// List the runs that changed something, and the releases for a rollback
///
/// Reads the runs from the state store and lists the newest first. If an environment is named, also reads the list of
/// its releases from its host, unless --offline is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer history production")]
pub struct Args {
    /// List only runs that changed this environment
    #[arg(value_name = "ENV")]
    pub environment: Option<String>,
    /// The number of runs to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Contact no host
    #[arg(long)]
    pub offline: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    history::run(context, args.environment.as_deref(), args.limit, args.offline).await
}
