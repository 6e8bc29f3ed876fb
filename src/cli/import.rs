//! `deployer import`: turns an environment of torrust-tracker-deployer into an entry of the manifest. Does not contact
//! the host, and writes no secret.

use super::{Context, Ending};
use crate::model::event::Outcome;
use crate::reconcile::entry::import::{Import, import};
use crate::reconcile::pass::refuse;
use camino::Utf8PathBuf;

/// Write an environment of torrust-tracker-deployer into the manifest; no contact yet
///
/// Where the installation runs (--host, or the address that its state has), the entry names its directory and its
/// Compose project, and apply takes it over in place, its data kept; the host is registered, never made anew. Where there
/// is no machine yet (--provision, or its state says so), the entry has the provider's section, and apply makes one. What
/// could not be carried, and which secrets are to be set, is said.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its JSON: the file it was created from, or the state that was kept of it
    #[arg(long, value_name = "FILE")]
    pub from: Utf8PathBuf,
    /// DNS name, IPv4 or IPv6 address of the host that it runs on; default: the one that its state has
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// There is no machine yet: deployer makes one, with the provider that the file names
    #[arg(long, conflicts_with = "host")]
    pub provision: bool,
    /// The environment's name, instead of its old one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Runs the command.
pub fn run(context: &Context, args: Args) -> Ending {
    let Args { from, host, provision, name } = args;
    match import(context, &Import { from, host, provision, name }) {
        Ok(()) => Ending::ok(Outcome::Changed),
        Err(failures) => refuse(context, &failures),
    }
}
