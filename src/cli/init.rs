//! `deployer init`: writes a manifest to start from. Does not overwrite a file.

use super::{Context, Ending};
use crate::model::failure::Failure;
use crate::reconcile::entry;

/// Write a commented manifest to start from
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer init")]
pub struct Args {}

/// Runs the command.
pub fn run(context: &Context, _args: &Args) -> Result<Ending, Failure> {
    entry::init(context)
}
