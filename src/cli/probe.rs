//! `deployer probe`: prints the script that observes a host, for benchmarks and curious users. Does not run the script.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending};
use crate::model::event::{Event, Outcome};
use crate::model::failure::Failure;
use crate::reconcile::execute::Sessions;
use crate::reconcile::prepare::Resolve;
use crate::resource;

/// Print the script that an observation runs on the host
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer probe production")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    probe(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn probe(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Never).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    for prepared in pass.prepare(environments, Resolve::Literals).await {
        context.say(Event::Output(resource::probe(&prepared.subject())));
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}
