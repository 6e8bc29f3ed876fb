//! `deployer plan`: the dry run. Changes nothing on a host.

use super::{Context, Ending};
use crate::model::event::Outcome;
use crate::reconcile::compare::against;
use crate::reconcile::look::{self, Dry};
use crate::reconcile::pass::refuse;
use camino::Utf8PathBuf;

/// The form of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people at a terminal.
    Terminal,
    /// For a comment on a pull request: under 60,000 characters.
    Markdown,
    /// Annotations of a GitHub workflow.
    Github,
}

/// Show what apply would do, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer plan --out production.plan")]
pub struct Args {
    /// Environments; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Compare with the last recorded state; contacts no host and reads no secret
    #[arg(long)]
    pub offline: bool,
    /// Compare with the manifest and the files at this Git ref; contacts no host and reads no secret
    #[arg(long, value_name = "REF", conflicts_with = "offline")]
    pub against: Option<String>,
    /// Save the plan to FILE for deployer apply FILE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["offline", "against"])]
    pub out: Option<Utf8PathBuf>,
    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "terminal", conflicts_with = "json")]
    pub format: Format,
    /// Exit with 2 if there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let looked = match &args.against {
        Some(reference) => against::plan(context, &args.environments, reference).await,
        None => {
            look::plan(context, &Dry { environments: args.environments, offline: args.offline, out: args.out }).await
        }
    };
    match looked.unwrap_or_else(|failures| refuse(context, &failures)) {
        Ending { outcome: Outcome::Planned, exit_code: 0 } if args.detailed_exitcode => {
            Ending { outcome: Outcome::Planned, exit_code: 2 }
        }
        ending => ending,
    }
}
