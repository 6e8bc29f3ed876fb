//! `deployer history`: prints who ran what and when, from the store, and the releases on a host. Changes nothing.

use super::look;
use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending};
use crate::io::store::Past;
use crate::model::event::{Event, FailedStep, Outcome, ReleaseView, RunView};
use crate::model::failure::Failure;
use crate::reconcile::execute::Sessions;
use crate::reconcile::prepare::Resolve;
use std::collections::BTreeSet;

/// List the runs that changed something, and the releases for a rollback
///
/// Reads the runs from the state store and lists the newest first. If an environment is named, also reads the list of
/// its releases from its host, unless --offline is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer history production")]
pub struct Args {
    /// List only runs that changed this environment
    #[arg(value_name = "ENV")]
    pub environment: Option<String>,
    /// The number of runs to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Contact no host
    #[arg(long)]
    pub offline: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    history(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn history(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let project = pass.manifest.project.as_str();
    let runs = match &pass.store {
        Some(store) => {
            store.history(project, args.environment.as_deref(), args.limit).await.map_err(|one| vec![one])?
        }
        None => Vec::new(),
    };
    if let (true, Some(name)) = (runs.is_empty(), &args.environment) {
        // An environment that left the manifest still has its history.
        pass.select(std::slice::from_ref(name), false)?;
    }
    if runs.is_empty() {
        context.say(Event::Note("No runs are recorded".to_owned()));
    }
    for past in &runs {
        context.say(Event::Run(view(past)));
    }
    let named = args.environment.iter().filter(|name| !args.offline && pass.knows(name)).cloned().collect::<Vec<_>>();
    let sessions = if named.is_empty() { Sessions::new() } else { releases(context, &mut pass, &named).await? };
    Ok(pass.close(sessions, Outcome::Ok).await)
}

/// Prints the releases that the hosts of these environments keep, and those that were rejected.
async fn releases(context: &Context, pass: &mut Pass, names: &[String]) -> Result<Sessions, Vec<Failure>> {
    let environments = pass.select(names, false)?;
    let prepared = pass.prepare(environments, Resolve::Connection).await;
    let (sessions, _) = pass.observe(context, prepared, &look::request()).await;
    // An unreachable host is part of the answer, not a failure of the command.
    pass.failures.retain(|failure| failure.reason.exit() != 7);
    for (name, session) in &sessions {
        let session = session.lock().await;
        let kept = match session.releases().await {
            Ok(kept) => kept,
            Err(failure) => {
                pass.fail(failure.on(name));
                continue;
            }
        };
        let files = &session.facts.files;
        let live = files.current.as_ref().map(|live| live.id.clone());
        let why = |id: &str| files.rejected.iter().find(|one| one.release == id).map(|one| one.message.clone());
        let gone = files.rejected.iter().map(|one| &one.release).filter(|id| kept.iter().all(|one| one.id != **id));
        let gone: BTreeSet<String> = gone.cloned().collect();
        let all = kept.iter().map(|one| (one.id.clone(), true)).chain(gone.into_iter().map(|id| (id, false)));
        for (release, kept) in all {
            let (live, rejected) = (live.as_ref() == Some(&release), why(&release));
            let environment = name.clone();
            context.say(Event::Release(ReleaseView { environment, release, live, kept, rejected }));
        }
    }
    Ok(sessions)
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
