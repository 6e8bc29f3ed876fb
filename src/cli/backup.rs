//! `deployer backup`: makes an archive of an environment's data now. Stops no service.

use super::{Context, Ending};
use crate::reconcile::execute::backup;
use camino::Utf8PathBuf;

/// Make a verified archive of an environment's data, without stopping it
///
/// It is what the schedule of the manifest's `backup` does, now: the archive is made on the host, read back, and kept
/// there. Nothing is stopped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Download the archive into this directory, too
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<Utf8PathBuf>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    backup::run(context, &args.environment, args.output.as_deref()).await
}
