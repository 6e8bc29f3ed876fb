//! `deployer unlock`: takes the lease, or the lock on the infrastructure's state, away from a run that cannot be waited
//! for. Not needed if that run died on this machine: a new run takes over both by itself.

use super::{Context, Ending};
use crate::reconcile::unlock::{self, Unlock};

/// Take the lease away from another run; what that run still begins on the host is refused
///
/// Of a machine that deployer makes, also the lock on OpenTofu's state. Seldom needed: a run that died lets go of its
/// lease within a minute by itself, and its lock is taken over on the same machine. A service of `before` that such a run
/// left running is ended; that of a run that lives is not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Take the lock on OpenTofu's state even from a run that lives on this machine
    #[arg(long)]
    pub force: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { environment, yes, force } = args;
    unlock::run(context, &Unlock { environment, yes, force }).await
}
