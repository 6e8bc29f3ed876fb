//! `deployer resume`: ends a suspension. Never applies anything by itself.

use super::{Context, Ending};
use crate::failure::Failure;

/// Take up suspended environments again
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
