//! `deployer destroy`: removes exactly what we put there. Never without consent by name.

use super::converge::{self, Asked};
use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending};
use crate::event::{Event, Outcome};
use crate::execute::Sessions;
use crate::failure::{Failure, Reason};
use crate::reconcile::Goal;

/// Tear environments down; asks for each name
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
    /// Remove volumes and data too
    #[arg(long)]
    pub purge: bool,
    /// Forget environments whose hosts are gone; contacts no host
    #[arg(long)]
    pub forget: bool,
    /// Do not show the plan first; does not stand for a name
    #[arg(short, long)]
    pub yes: bool,
    /// Consent to destroying this environment; may be given again
    #[arg(long, value_name = "ENV")]
    pub allow_destroy: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    if args.forget {
        return forget(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures));
    }
    let goal = Goal::Destroy { purge: args.purge };
    let asked = Asked {
        yes: args.yes,
        allow_destroy: args.allow_destroy,
        ..Asked::new(context.command, args.environments, goal)
    };
    converge::run(context, &asked).await
}

/// Drops what is recorded here of environments whose hosts are gone.
async fn forget(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    for name in &args.environments {
        let consent = args.allow_destroy.contains(name)
            || context.render.ask(&format!("Type {name} to forget it:")).is_some_and(|answer| answer.trim() == name);
        if !consent {
            let message = format!("{name} is not forgotten without consent by its name");
            pass.fail(Failure::new(Reason::ConsentMissing, message).on(name));
            continue;
        }
        let project = pass.manifest.project.to_string();
        let known = match &pass.store {
            Some(store) => store.forget(&project, name).await.map_err(|failure| vec![failure])?,
            None => false,
        };
        context.say(Event::Note(if known {
            format!("{name} is forgotten")
        } else {
            format!("{name} was not recorded")
        }));
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}
