//! `deployer history`: prints who ran what and when, from the store, and the releases on a host. Changes nothing.

use crate::io::store::Past;
use crate::model::ending::Ending;
use crate::model::event::{Event, FailedStep, Outcome, ReleaseView, RunView, StepState};
use crate::model::failure::Failure;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::session::Sessions;
use std::collections::BTreeSet;

/// Prints the newest runs, and the releases on the host of a named environment unless `offline`. Failures are already
/// printed.
pub async fn run(context: &Context, environment: Option<&str>, limit: u32, offline: bool) -> Ending {
    history(context, environment, limit, offline).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn history(
    context: &Context,
    environment: Option<&str>,
    limit: u32,
    offline: bool,
) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let project = pass.manifest.project.as_str();
    let runs = match &pass.store {
        Some(store) => store.history(project, environment, limit).await.map_err(|one| vec![one])?,
        None => Vec::new(),
    };
    if let (true, Some(name)) = (runs.is_empty(), environment) {
        // An environment that left the manifest still has its history.
        pass.select(&[name.to_owned()], false)?;
    }
    if runs.is_empty() {
        context.say(Event::Note("No runs are recorded".to_owned()));
    }
    for past in &runs {
        context.say(Event::Run(view(past)));
    }
    let named = environment.filter(|name| !offline && pass.knows(name)).map(str::to_owned);
    let named = named.into_iter().collect::<Vec<_>>();
    let sessions = if named.is_empty() { Sessions::new() } else { releases(context, &mut pass, &named).await? };
    Ok(pass.close(sessions, Outcome::Ok).await)
}

/// Prints the releases that the hosts of these environments keep, and those that were rejected.
async fn releases(context: &Context, pass: &mut Pass, names: &[String]) -> Result<Sessions, Vec<Failure>> {
    let sessions = pass.look(context, names).await?;
    for (name, session) in &sessions {
        let session = session.lock().await;
        let kept = match session.releases().await {
            Ok(kept) => kept,
            Err(failure) => {
                pass.fail(failure.on(name));
                continue;
            }
        };
        let files = &session.facts().files;
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
    let failed = past.steps.iter().filter(|step| step.outcome.as_deref() == Some(StepState::Failed.name()));
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
