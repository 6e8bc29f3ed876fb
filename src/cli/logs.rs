//! `deployer logs`: prints the logs of services. Records none of them.

use super::{Context, Ending};
use crate::reconcile::remote::logs::{self, Logs};

/// Print the logs of services
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer logs production web --follow")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The service; all if none is named
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Print new lines as they arrive
    #[arg(short, long)]
    pub follow: bool,
    /// Print only the last N lines of each service
    #[arg(long, value_name = "N")]
    pub tail: Option<u32>,
    /// The manifest; - is standard input. After logs, -f is --follow
    #[arg(
        long,
        env = "DEPLOYER_FILE",
        hide_env_values = true,
        default_value = "deployment.yaml",
        value_name = "FILE",
        help_heading = super::help::GLOBAL
    )]
    pub file: camino::Utf8PathBuf,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { environment, service, follow, tail, file: _ } = args;
    logs::run(context, &Logs { environment, service, follow, tail }).await
}
