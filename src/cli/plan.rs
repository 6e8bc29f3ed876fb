//! `deployer plan`: the dry run. Never changes anything anywhere.

use super::{Context, Ending};
use crate::failure::Failure;

/// Show what apply would do, and why
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments; all where none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Compare with what was recorded last; contacts no host and reads no secret
    #[arg(long)]
    pub offline: bool,
    /// Exit with 2 where there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
