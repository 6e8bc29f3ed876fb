//! `deployer check`: checks everything that needs no host. Contacts no host.

use super::{Context, Ending};
use crate::reconcile::check;

/// The form of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// JSON lines.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
}

/// Check the manifest and its files without contacting a host
///
/// Runs no command of the manifest and reads no secret, unless --secrets is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer check")]
pub struct Args {
    /// Environments; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Also read every secret as apply does: runs its command, or reads its file or variable
    #[arg(long)]
    pub secrets: bool,
    /// The output format; --json is the same as json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    check::run(context, &args.environments, args.secrets).await
}
