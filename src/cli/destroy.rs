//! `deployer destroy`: removes exactly what we put there. Never without consent by name.

use super::{Context, Ending};
use crate::failure::Failure;

/// Tear environments down; asks for each name
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
    /// Remove volumes and data too
    #[arg(long)]
    pub purge: bool,
    /// Forget environments whose hosts are gone; contacts no host
    #[arg(long)]
    pub forget: bool,
    /// Do not show the plan first; does not stand for a name
    #[arg(short, long)]
    pub yes: bool,
    /// Consent to destroying this environment; may be given again
    #[arg(long, value_name = "ENV")]
    pub allow_destroy: Vec<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
