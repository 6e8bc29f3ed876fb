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
pub async fn run(context: &Context, args: Args) -> Ending {
    let _ = args;
    super::pass::refuse(context, &[super::not_wired(context)])
}
