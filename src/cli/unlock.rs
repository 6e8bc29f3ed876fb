//! `deployer unlock`: takes the lease, or the lock on the infrastructure's state, away from a run that cannot be waited
//! for. Not needed if that run died on this machine: a new run takes over both by itself.

use super::{Context, Ending};
use crate::reconcile::unlock::{self, Unlock};

/// Take the lease away from another run, whose further commands the host then refuses
///
/// For a machine that deployer makes, also takes away the lock on OpenTofu's state. This is rarely needed: the lease of
/// a run that died expires within a minute, and its lock is taken over on the same machine. A service of `before` that
/// a dead run left running is stopped; that of a live run is not.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer unlock production")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Take the lock on OpenTofu's state also from a run that is alive on this machine
    #[arg(long)]
    pub force: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { environment, yes, force } = args;
    unlock::run(context, &Unlock { environment, yes, force }).await
}
