//! `deployer rollback`: goes back to an earlier release, its files and images together. Does not change volumes or
//! other data.

use super::{Context, Ending};
use crate::reconcile::converge;
use crate::reconcile::request::{Asked, Goal};

/// Go back to an earlier release, with its files and images
///
/// The host keeps the last releases (`keep_releases` in the manifest). The environment stays at the chosen release
/// until its application or its variables change, or until an apply with --retry. Volumes and other data are not rolled
/// back.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer rollback production")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The release to go back to; default: the release before the live one
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<String>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Take over a directory or a Compose project on the host that belongs to another environment or another owner
    #[arg(long)]
    pub take_over: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let asked = Asked {
        release: args.to,
        yes: args.yes,
        take_over: args.take_over,
        ..Asked::new(context.command, vec![args.environment], Goal::RollBack)
    };
    converge::run(context, &asked).await
}
