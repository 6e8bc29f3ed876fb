//! `deployer restart`: restarts the services, and waits until they are healthy. Changes neither files nor images.

use super::{Context, Ending};
use crate::reconcile::execute::restart::{self, Restart};
use std::time::Duration;

/// Restart services and wait until they are healthy
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer restart production web")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The service; all if none is named
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// How long to wait for another run that has locked the same environment
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "90s")]
    pub wait: Duration,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { environment, service, wait } = args;
    restart::run(context, &Restart { environment, service, wait }).await
}
