//! `deployer schema`: what a manifest may say, for editors. Never anything but what is read.

use super::{Context, Ending};
use crate::failure::Failure;

/// Print the JSON schema of the manifest
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(context: &Context, _args: &Args) -> Result<Ending, Failure> {
    Err(super::not_wired(context))
}
