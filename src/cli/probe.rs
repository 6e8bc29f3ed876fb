//! `deployer probe`: prints the script that observes a host, for benchmarks and curious users. Does not run the script.

use super::{Context, Ending};
use crate::reconcile::look;
use crate::reconcile::pass::refuse;

/// Print the script that an observation runs on the host
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer probe production")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    look::probe(context, &args.environment).await.unwrap_or_else(|failures| refuse(context, &failures))
}
