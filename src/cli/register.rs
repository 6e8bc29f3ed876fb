//! `deployer register`: writes an entry, then makes the first contact. Never leaves a key unchecked.

use super::{Context, Ending};
use crate::failure::Failure;

/// Write an existing host into the manifest and contact it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The new environment.
    #[command(flatten)]
    pub host: super::new_host::NewHost,
    /// Trust the host where its key is not known yet, and write the key into the entry
    #[arg(long)]
    pub accept_new_host_keys: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let _ = args;
    super::pass::refuse(context, &[super::not_wired(context)])
}
