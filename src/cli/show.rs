//! `deployer show`: one environment as the engine sees it. Never shows a secret.

use super::{Context, Ending};
use crate::failure::Failure;

/// Print an environment of the manifest, merged with the defaults
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let _ = args;
    super::pass::refuse(context, &[super::not_wired(context)])
}
