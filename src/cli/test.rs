//! `deployer test`: runs the declared checks now. Changes nothing.

use super::{Context, Ending};
use crate::reconcile::look;
use crate::reconcile::pass::refuse;

/// The form of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// JSON lines.
    Json,
    /// A report for pipelines: `JUnit` XML, one suite per environment.
    Junit,
}

/// Run the checks that the manifest declares
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer test production --format junit")]
pub struct Args {
    /// Environments; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// The output format; --json is the same as json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    look::test(context, &args.environments).await.unwrap_or_else(|failures| refuse(context, &failures))
}
