//! `deployer show`: prints one environment with its defaults, or a saved plan. Shows no secret.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending, saved};
use crate::manifest;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::plan::saved::SavedPlan;
use crate::reconcile::execute::Sessions;

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
        show_plan(context, &args.environment).map_err(|failure| vec![failure])
    } else {
        show(context, &args).await
    };
    shown.unwrap_or_else(|failures| refuse(context, &failures))
}

/// Prints a saved plan. Needs neither the manifest nor the hosts.
fn show_plan(context: &Context, path: &str) -> Result<Ending, Failure> {
    let SavedPlan { made_at, by, environments, plan, .. } = saved::read(path)?.plan;
    let serials = environments.iter().map(|(name, bound)| format!("{name} at serial {}", bound.serial));
    let on = serials.collect::<Vec<_>>().join(", ");
    context.say(Event::Note(format!(
        "Plan of {}, made by {by} at {}, on {on}\n",
        plan.project,
        made_at.strftime("%F %T UTC")
    )));
    context.say(Event::Plan(plan));
    context.say(Event::Note(
        "Not verified: deployer apply checks with the hosts' keys that this file was not changed".into(),
    ));
    Ok(Ending::ok(Outcome::Ok))
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
