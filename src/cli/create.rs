//! `deployer create`: writes an entry into the manifest. Never contacts the host.

use super::{Context, Ending};
use crate::failure::Failure;

/// Write an environment into the manifest; no contact yet
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The new environment.
    #[command(flatten)]
    pub host: super::new_host::NewHost,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
