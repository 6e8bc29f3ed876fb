//! `deployer import`: turns an environment of torrust-tracker-deployer into an entry of the manifest. Does not contact
//! the host, and writes no secret.

use super::{Context, Ending};
use crate::model::event::Outcome;
use crate::reconcile::entry::import::{Import, import};
use crate::reconcile::pass::refuse;
use camino::Utf8PathBuf;

/// Add an environment of torrust-tracker-deployer to the manifest without contacting its host
///
/// If the installation runs on a host (--host, or the address in its state), the entry names its directory and its
/// Compose project. apply then takes the installation over in place and keeps its data; the host is registered and is
/// not made again. If there is no machine yet (--provision, or according to its state), the entry has the provider's
/// section, and apply makes a machine. The command lists the keys that it could not carry over and the secrets that
/// must be set.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer import --from environment.json --host tracker.example.com")]
pub struct Args {
    /// The JSON file of the environment: the file that it was created from, or its state
    #[arg(long, value_name = "FILE")]
    pub from: Utf8PathBuf,
    /// DNS name, IPv4 or IPv6 address of the host on which it runs; default: the address in its state
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// There is no machine yet: apply makes one with the provider in the file
    #[arg(long, conflicts_with = "host")]
    pub provision: bool,
    /// The new name of the environment; default: its old name
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
