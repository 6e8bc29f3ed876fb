//! `deployer check`: everything that can be known without contacting a host. Never contacts one.

use super::pass::{Keep, Pass};
use super::{Context, Ending};
use crate::event::Event;
use crate::failure::Failure;
use crate::prepare;

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
pub async fn run(context: &Context, args: Args) -> Ending {
    let failures = match look(context, &args.environments).await {
        Ok(failures) | Err(failures) => failures,
    };
    for failure in &failures {
        context.say(Event::Failure(failure.clone()));
    }
    Ending::of(&failures, false)
}

/// Everything that is wrong; nothing of it was said yet.
async fn look(context: &Context, names: &[String]) -> Result<Vec<Failure>, Vec<Failure>> {
    let pass = Pass::open(context, Keep::Never).await?;
    let mut failures = Vec::new();
    let mut well = Vec::new();
    for environment in pass.select(names, false)? {
        let mut own = prepare::secrets_of_access(&environment).await;
        own.extend(pass.machine(&environment).await);
        let name = environment.name.clone();
        own.extend(prepare::prepare(environment, false).await.err().into_iter().flatten());
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
