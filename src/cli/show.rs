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
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
