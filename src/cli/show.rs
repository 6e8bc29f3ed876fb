//! `deployer show`: prints one environment with its defaults, or a saved plan. Shows no secret.

use super::{Context, Ending};
use crate::reconcile::pass::refuse;
use crate::reconcile::{look, saved};

/// Print an environment of the manifest merged with the defaults, or a saved plan
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer show production")]
pub struct Args {
    /// The environment, or the file of a saved plan, whose name contains a dot or a slash
    #[arg(value_name = "PLAN | ENV")]
    pub environment: String,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let shown = if saved::is_file(&args.environment) {
        saved::show(context, &args.environment).map_err(|failure| vec![failure])
    } else {
        look::describe(context, &args.environment).await
    };
    shown.unwrap_or_else(|failures| refuse(context, &failures))
}
