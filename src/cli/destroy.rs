//! `deployer destroy`: removes exactly what deployer put on a host. Requires consent by name.

use super::{Context, Ending};
use crate::reconcile::converge;
use crate::reconcile::request::{Asked, Goal};

/// Destroy environments; asks for each name
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer destroy staging --purge")]
pub struct Args {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
    /// Also remove volumes and data
    #[arg(long)]
    pub purge: bool,
    /// Do not ask; the consent by name is still required
    #[arg(short, long)]
    pub yes: bool,
    /// Consent to destroying this environment; repeatable
    #[arg(long, value_name = "ENV")]
    pub allow_destroy: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let goal = Goal::Destroy { purge: args.purge };
    let asked = Asked {
        yes: args.yes,
        allow_destroy: args.allow_destroy,
        ..Asked::new(context.command, args.environments, goal)
    };
    converge::run(context, &asked).await
}
