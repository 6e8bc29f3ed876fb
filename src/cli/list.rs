//! `deployer list`: prints one line per environment, from the records. Contacts no host.

use super::{Context, Ending};
use crate::reconcile::look;
use crate::reconcile::pass::refuse;

/// List the environments, one per line
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer list")]
pub struct Args {}

/// Runs the command.
pub async fn run(context: &Context, _args: Args) -> Ending {
    look::status(context, &[], true, false).await.unwrap_or_else(|failures| refuse(context, &failures))
}
