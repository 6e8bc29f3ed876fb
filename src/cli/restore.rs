//! `deployer restore`: restores an environment's data from an archive, or lists the archives on its host.

use super::{Context, Ending};
use crate::reconcile::execute::restore::{self, Restore};
use std::time::Duration;

/// Bring an environment's data back from an archive; without one, list those on its host
///
/// The archive is checked first, then what is there is backed up, the services that use the data are stopped, the data
/// is changed and the services are started and waited for. Only databases come back: the release's files are those of
/// the manifest. If it is interrupted, the same command starts over.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The archive: a file of this machine, or the name of one on the host
    #[arg(value_name = "ARCHIVE")]
    pub archive: Option<String>,
    /// Consent to replacing this environment's data
    #[arg(long, value_name = "ENV")]
    pub allow_restore: Option<String>,
    /// The archive may be of another project or environment
    #[arg(long)]
    pub other_environment: bool,
    /// Do not back up first what is there: for data that is lost or damaged
    #[arg(long)]
    pub without_backup: bool,
    /// How long to wait for another run that works on the same environment
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "90s")]
    pub wait: Duration,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { environment, archive, allow_restore, other_environment, without_backup, wait } = args;
    let wanted = Restore { environment, archive, allow_restore, other_environment, without_backup, wait };
    restore::run(context, &wanted).await
}
