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
    /// A report for pipelines: XML as `JUnit` writes it, a suite an environment.
    Junit,
}

/// Run the checks that the manifest declares
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments; all where none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// The form of what is found; --json is the same as json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    look::test(context, &args.environments).await.unwrap_or_else(|failures| refuse(context, &failures))
}
