//! `deployer backup`: makes an archive of an environment's data now. Stops no service.

use super::{Context, Ending};
use crate::reconcile::execute::backup;
use camino::Utf8PathBuf;

/// Make a verified archive of an environment's data, without stopping it
///
/// Does now what the schedule of the manifest's `backup` does: makes the archive on the host, verifies it by reading it
/// back, and keeps it on the host. Nothing is stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer backup production --output ./backups")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Also download the archive into this directory
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<Utf8PathBuf>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    backup::run(context, &args.environment, args.output.as_deref()).await
}
