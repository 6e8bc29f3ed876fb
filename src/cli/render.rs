//! `deployer render`: the files of a release, on this machine. Never contacts a host.

use super::{Context, Ending};
use crate::failure::Failure;

/// Write every file that would be sent into a directory
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The directory; made where there is none
    #[arg(short, long, value_name = "DIR")]
    pub output: camino::Utf8PathBuf,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
