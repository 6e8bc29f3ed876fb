//! `deployer history`: what was done, when and by whom, as the store has it. Never contacts a host.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending};
use crate::event::{Event, FailedStep, Outcome, RunView};
use crate::execute::Sessions;
use crate::failure::Failure;
use crate::store::Past;
use std::collections::BTreeSet;

/// List the runs that changed something, the newest first
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only runs that worked on this environment
    #[arg(value_name = "ENV")]
    pub environment: Option<String>,
    /// Only that many of the newest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    history(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn history(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    let pass = Pass::open(context, Keep::IfThere).await?;
    let project = pass.manifest.project.as_str();
    let runs = match &pass.store {
        Some(store) => {
            store.history(project, args.environment.as_deref(), args.limit).await.map_err(|one| vec![one])?
        }
        None => Vec::new(),
    };
    if let (true, Some(name)) = (runs.is_empty(), &args.environment) {
        // An environment that left the manifest has its history all the same.
        pass.select(std::slice::from_ref(name), false)?;
    }
    if runs.is_empty() {
        context.say(Event::Note("No run is recorded".to_owned()));
    }
    for past in &runs {
        context.say(Event::Run(view(past)));
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}

fn view(past: &Past) -> RunView {
    let environments: BTreeSet<&String> = past.steps.iter().map(|step| &step.environment).collect();
    let took = past.ended_at.map(|end| end.duration_since(past.run.started_at).as_millis());
    let failed = past.steps.iter().filter(|step| step.outcome.as_deref() == Some("failed"));
    RunView {
        id: past.run.id.clone(),
        command: past.run.command.clone(),
        by: past.run.by.clone(),
        started_at: past.run.started_at,
        duration_ms: took.and_then(|took| u64::try_from(took).ok()),
        outcome: past.outcome.clone(),
        environments: environments.into_iter().cloned().collect(),
        failed: failed
            .map(|step| FailedStep { environment: step.environment.clone(), kind: step.kind.clone() })
            .collect(),
    }
}
