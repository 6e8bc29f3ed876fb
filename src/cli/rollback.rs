//! `deployer rollback`: goes back to an earlier release, its files and images together. Does not change volumes or
//! other data.

use super::apply::Trusted;
use super::{Context, Ending};
use crate::reconcile::converge;
use crate::reconcile::request::{Asked, Goal};

/// Go back to an earlier release, its files and images together
///
/// The host keeps the last releases (`keep_releases` in the manifest). The environment then stays at that release until
/// its application or its variables change, or apply is given --retry. Volumes and other data are not rolled back.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The release to go back to; the one before the live one where none is given
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// What is taken on trust.
    #[command(flatten)]
    pub trust: Trusted,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let asked = Asked {
        release: args.to,
        yes: args.yes,
        trust: args.trust.into(),
        ..Asked::new(context.command, vec![args.environment], Goal::RollBack)
    };
    converge::run(context, &asked).await
}
