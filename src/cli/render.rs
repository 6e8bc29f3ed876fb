//! `deployer render`: writes the files of a release on the runner. Contacts no host.

use super::{Context, Ending};
use crate::reconcile::release_files;

/// Write every file that would be sent into a directory
///
/// Of a machine that deployer makes, also what OpenTofu would be given, in `opentofu`: there, secrets are named and left
/// out. The application's own files hold the secrets that they will hold on the host.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The directory; made where there is none
    #[arg(short, long, value_name = "DIR")]
    pub output: camino::Utf8PathBuf,
    /// Run no command and read no file or variable that the manifest names: files that need such a value are left out
    #[arg(long)]
    pub offline: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    release_files::run(context, &args.environment, &args.output, args.offline).await
}
