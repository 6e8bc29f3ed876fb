//! `deployer check`: checks everything that needs no host. Contacts no host.

use super::pass::{Keep, Pass};
use super::{Context, Ending};
use crate::model::event::Event;
use crate::model::failure::Failure;
use crate::reconcile::prepare::{self, Resolve};

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

/// Check the manifest and its files without contacting a host
///
/// Runs no command of the manifest and reads no secret, unless --secrets is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer check")]
pub struct Args {
    /// Environments; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Also read every secret as apply does: runs its command, or reads its file or variable
    #[arg(long)]
    pub secrets: bool,
    /// The output format; --json is the same as json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let failures = match look(context, &args).await {
        Ok(failures) | Err(failures) => failures,
    };
    for failure in &failures {
        context.say(Event::Failure(failure.clone()));
    }
    Ending::of(&failures, false)
}

/// Returns all failures, without printing them.
async fn look(context: &Context, args: &Args) -> Result<Vec<Failure>, Vec<Failure>> {
    let pass = Pass::open(context, Keep::Never).await?;
    let mut failures = Vec::new();
    let mut well = Vec::new();
    for environment in pass.select(&args.environments, false)? {
        let mut own = pass.machine(&environment, args.secrets).await;
        if args.secrets {
            own.extend(prepare::secrets_of_access(&environment).await);
        }
        let name = environment.name.clone();
        let resolve = if args.secrets { Resolve::Everything } else { Resolve::Literals };
        let hide = |name: &str, known: &_| context.render.hide(name, known);
        own.extend(prepare::prepare(environment, resolve, &hide).await.err().into_iter().flatten());
        if own.is_empty() {
            well.push(name.to_string());
        }
        failures.extend(own.into_iter().map(|failure| failure.on(&name)));
    }
    if failures.is_empty() {
        context.say(Event::Note(format!("{} is valid: {}", context.file, well.join(", "))));
    }
    Ok(failures)
}
