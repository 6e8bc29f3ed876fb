//! `deployer test`: the declared checks, now. Never changes anything.

use super::{Context, Ending};
use crate::failure::Failure;

/// Run the checks that the manifest declares
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments; all where none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
