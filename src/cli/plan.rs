//! `deployer plan`: the dry run. Never changes anything anywhere.

use super::pass::refuse;
use super::{Context, Ending, look};
use crate::event::Outcome;

/// Show what apply would do, and why
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments; all where none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Compare with what was recorded last; contacts no host and reads no secret
    #[arg(long)]
    pub offline: bool,
    /// Exit with 2 where there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let looked = look::plan(context, &args.environments, args.offline).await;
    match looked.unwrap_or_else(|failures| refuse(context, &failures)) {
        Ending { outcome: Outcome::Planned, exit_code: 0 } if args.detailed_exitcode => {
            Ending { outcome: Outcome::Planned, exit_code: 2 }
        }
        ending => ending,
    }
}
