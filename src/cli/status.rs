//! `deployer status`: environments as they stand. Never changes anything.

use super::{Context, Ending};
use crate::failure::Failure;

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
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
