//! `deployer restore`: restores an environment's data from an archive, or lists the archives on its host.

use super::{Context, Ending};
use crate::reconcile::execute::restore::{self, Restore};
use std::time::Duration;

/// Restore an environment's data from an archive, or list the archives on its host
///
/// Checks the archive, backs up the current data, stops the services that use the data, replaces the data, starts the
/// services and waits until they are healthy. Restores only databases: the files of the release come from the manifest.
/// If the command is interrupted, run it again: it starts over.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer restore production shop--production-20261122T030000Z.tar.gz")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The archive: a file on this machine, or the name of an archive on the host
    #[arg(value_name = "ARCHIVE")]
    pub archive: Option<String>,
    /// Consent to replacing this environment's data
    #[arg(long, value_name = "ENV")]
    pub allow_restore: Option<String>,
    /// Allow an archive of another project or environment
    #[arg(long)]
    pub other_environment: bool,
    /// Do not back up the current data first: for data that is lost or damaged
    #[arg(long)]
    pub without_backup: bool,
    /// How long to wait for another run that has locked the same environment
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "90s")]
    pub wait: Duration,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { environment, archive, allow_restore, other_environment, without_backup, wait } = args;
    let wanted = Restore { environment, archive, allow_restore, other_environment, without_backup, wait };
    restore::run(context, &wanted).await
}
