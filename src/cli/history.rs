//! `deployer history`: prints who ran what and when, and the releases on a host. Changes nothing.

use super::{Context, Ending};
use crate::reconcile::history;

/// List the runs that changed something, and the releases that an environment can go back to
///
/// Runs are read from the state store, the newest first. Where an environment is named, its host is asked which releases
/// it keeps, unless --offline is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only runs that worked on this environment
    #[arg(value_name = "ENV")]
    pub environment: Option<String>,
    /// Only that many of the newest
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
