//! `deployer logs`: what the services say. Never keeps any of it.

use super::{Context, Ending};
use crate::failure::Failure;

/// Print the logs of services
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The service; all where none is named
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Go on as more is said
    #[arg(short, long)]
    pub follow: bool,
    /// Only that many last lines of each service
    #[arg(long, value_name = "N")]
    pub tail: Option<u32>,
    /// The manifest; - reads standard input. After logs, -f is --follow
    #[arg(long, env = "DEPLOYER_FILE", hide_env_values = true, default_value = "deployment.yaml", value_name = "FILE")]
    pub file: camino::Utf8PathBuf,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
