//! `deployer state`: changes the records of environments by hand. Contacts no host.

use super::{Context, Ending};
use crate::reconcile::forget;

/// Look after what is recorded here
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with records.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Forget environments whose hosts are gone, or go on without us; contacts no host
    Forget(Forget),
}

/// What is forgotten.
#[derive(Debug, clap::Args)]
pub struct Forget {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
    /// Forget a machine that deployer made, too: it goes on, and is nobody's business here any more
    #[arg(long)]
    pub keep_infrastructure: bool,
    /// Consent to forgetting this environment; may be given again
    #[arg(long, value_name = "ENV")]
    pub allow_destroy: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Command::Forget(Forget { environments, keep_infrastructure, allow_destroy }) = args.command;
    forget::run(context, &forget::Forget { environments, keep_infrastructure, allow_destroy }).await
}
