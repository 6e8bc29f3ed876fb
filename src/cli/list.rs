//! `deployer list`: one line an environment, as recorded. Never contacts a host.

use super::{Context, Ending};
use crate::failure::Failure;

/// List the environments, one a line
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
