//! `deployer register`: contacts a host, writes its entry with the key that the host showed, then marks the host as
//! deployer's.

use super::new_host::NewHost;
use super::{Context, Ending};
use crate::reconcile::entry::register::{self, Register};

/// Write an existing host into the manifest and contact it
///
/// The host's key is checked against --host-key or `known_hosts`, or shown and asked about, and written into
/// the entry. Where the entry is there already (deployer create), only the contact is made.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The new environment.
    #[command(flatten)]
    pub new: NewHost,
    /// DNS name, IPv4 or IPv6 address of the host
    #[arg(long, value_name = "ADDRESS")]
    pub host: String,
    /// Trust the host where its key is not known yet, and write the key into the entry
    #[arg(long)]
    pub accept_new_host_keys: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { new, host, accept_new_host_keys } = args;
    register::run(context, Register { new: new.into(), host, accept_new_host_keys }).await
}
