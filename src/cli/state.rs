//! `deployer state`: changes the records of environments by hand. Contacts no host.

use super::{Context, Ending};
use crate::reconcile::forget;

/// Manage the records in the state store
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer state forget staging")]
pub struct Args {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands for records.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Remove the records of environments without contacting their hosts
    Forget(Forget),
}

/// Arguments of `deployer state forget`.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer state forget lab --keep-infrastructure")]
pub struct Forget {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
    /// Also forget a machine that deployer made: it keeps running and is no longer managed
    #[arg(long)]
    pub keep_infrastructure: bool,
    /// Consent to forgetting this environment; repeatable
    #[arg(long, value_name = "ENV")]
    pub allow_destroy: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Command::Forget(Forget { environments, keep_infrastructure, allow_destroy }) = args.command;
    forget::run(context, &forget::Forget { environments, keep_infrastructure, allow_destroy }).await
}
