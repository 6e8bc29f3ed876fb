//! `deployer test`: the declared checks, now. Never changes anything.

use super::pass::refuse;
use super::{Context, Ending, look};

/// Run the checks that the manifest declares
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments; all where none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    look::test(context, &args.environments).await.unwrap_or_else(|failures| refuse(context, &failures))
}
