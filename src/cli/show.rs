//! `deployer show`: one environment as the engine sees it. Never shows a secret.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending};
use crate::event::{Event, Outcome};
use crate::execute::Sessions;
use crate::failure::{Failure, Reason};
use crate::manifest;

/// Print an environment of the manifest, merged with the defaults
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    show(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn show(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    let pass = Pass::open(context, Keep::Never).await?;
    for environment in pass.select(std::slice::from_ref(&args.environment), false)? {
        let text = serde_saphyr::to_string(&manifest::describe(&environment)).map_err(|error| {
            vec![Failure::new(
                Reason::CommandFailed,
                format!("{} cannot be written as YAML: {error}", environment.name),
            )]
        })?;
        context.say(Event::Output(text));
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}
