//! `deployer register`: contacts a host, writes its entry with the key that the host showed, then marks the host as
//! deployer's.

use super::new_host::NewHost;
use super::{Context, Ending};
use crate::reconcile::entry::register::{self, Register};

/// Add an existing host to the manifest and contact it
///
/// Checks the host's key against --host-key or `known_hosts`, or else asks whether to trust it, and writes the key into
/// the entry. If the entry already exists (deployer create), only contacts the host.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer register production --host server.example.com --ssh-user deploy")]
pub struct Args {
    /// The new environment.
    #[command(flatten)]
    pub new: NewHost,
    /// DNS name, IPv4 or IPv6 address of the host
    #[arg(long, value_name = "ADDRESS")]
    pub host: String,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { new, host } = args;
    Box::pin(register::run(context, Register { new: new.into(), host })).await
}
