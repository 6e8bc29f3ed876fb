//! `deployer render`: writes the files of a release on the runner. Contacts no host.

use super::{Context, Ending};
use crate::reconcile::release_files;

/// Write all files that would be sent to the host into a directory
///
/// For a machine that deployer makes, also writes OpenTofu's inputs into `opentofu`, with the names but not the values
/// of secrets. The application's own files contain their secrets, as on the host.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer render production --output ./rendered")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The directory; created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    pub output: camino::Utf8PathBuf,
    /// Run no command and read no file or variable of the manifest; leaves out files that need such a value
    #[arg(long)]
    pub offline: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    release_files::run(context, &args.environment, &args.output, args.offline).await
}
