//! `deployer check`: everything that can be known without contacting a host. Never contacts one.

use super::{Context, Ending};
use crate::failure::Failure;

/// The form of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// JSON lines.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
}

/// Check the manifest, its files, keys and secrets; contacts no host
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
#[expect(clippy::unused_async, reason = "the engine is wired after the merge")]
pub async fn run(context: &Context, args: Args) -> Result<Ending, Failure> {
    let _ = args;
    Err(super::not_wired(context))
}
