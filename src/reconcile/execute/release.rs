//! Brings a release to health, or goes back to the last healthy one. A release that did not become healthy does not
//! stay in place of a healthy one.

use super::Execution;
use super::change::{apart, due, run_all, run_all_and_observe};
use crate::model::diff;
use crate::model::event::Change;
use crate::model::failure::{Failure, Reason};
use crate::model::state::Kind;
use crate::model::verdict::Judgement;
use crate::reconcile::execute::reachable;
use crate::reconcile::session::Session;
use crate::reconcile::stack::examine;
use crate::resource::contract::record::{Rejected, Rejection, ReleaseRecord};
use crate::resource::services::Fact;
use crate::resource::{self, services};
use std::time::{Duration, Instant};

/// Starts the release, waits until all services are healthy, then records the release as converged. If the release does
/// not become healthy, goes back to the last healthy one. Returns true if something was changed.
pub(super) async fn start(session: &mut Session, context: &Execution<'_>) -> Result<bool, Failure> {
    if session.seen().matches(Kind::Services) {
        return Ok(false);
    }
    let commands = due(Kind::Services, session, context.release)?;
    let ran = run_all_and_observe(session, &commands).await;
    let proven = match well(session, ran, &differing).await {
        Ok(()) => smoke(session, context).await,
        failed => failed,
    };
    match proven {
        Ok(()) => finish(session).await.map(|()| true),
        Err(failure) => Err(roll_back(session, failure, context).await),
    }
}

/// Runs the smoke test of a tracker stack, if the manifest asks for that for each release.
async fn smoke(session: &Session, context: &Execution<'_>) -> Result<(), Failure> {
    if !session.prepared.environment.health.smoke {
        return Ok(());
    }
    session.progress("test the stack");
    let verdicts = examine(session, context.now).await.unwrap_or_default();
    let failed = verdicts.iter().filter(|verdict| verdict.judgement == Judgement::Failed);
    let lines: Vec<String> = failed.map(|verdict| format!("{}: {}", verdict.name, verdict.detail)).collect();
    match &lines[..] {
        [] => Ok(()),
        [only] => Err(Failure::new(Reason::CheckFailed, only.clone())),
        [first, rest @ ..] => {
            let message = format!("{first}, and {} more", rest.len());
            Err(Failure::new(Reason::CheckFailed, message).details(lines.join("\n")))
        }
    }
}

/// Waits until `unwell` names neither a service nor a check. If `ran` is a failure, the services are observed first.
/// Returns early if waiting cannot help.
pub(super) async fn well(
    session: &mut Session,
    ran: Result<(), Failure>,
    unwell: &(dyn Fn(&Session) -> Vec<String> + Send + Sync),
) -> Result<(), Failure> {
    let limit = session.prepared.environment.health.timeout;
    let (started, mut pause) = (Instant::now(), Duration::from_millis(200));
    if ran.is_err() {
        session.observe().await?;
    }
    loop {
        let bad = unwell(session);
        if ran.is_ok() && bad.is_empty() {
            return Ok(());
        }
        if let Err(failure) = &ran {
            return Err(failure.clone().details(join(failure.details.as_deref(), &session.last_words().await)));
        }
        if started.elapsed() >= limit || services::hopeless(&session.prepared.subject(), session.facts()) {
            let failure = unhealthy(&bad, started.elapsed());
            return Err(failure.details(session.last_words().await));
        }
        session.progress(format!("wait: {}", bad.join(", ")));
        let left = limit.saturating_sub(started.elapsed());
        if let Some(script) = services::answers(&session.prepared.subject(), session.facts(), left) {
            session.observe_kinds(&script, resource::WAITING).await?;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(2));
            session.observe_kinds("", resource::WAITING).await?;
        }
    }
}

/// Records the live release as the converged one, and closes ports that only the previous release used.
async fn finish(session: &mut Session) -> Result<(), Failure> {
    match services::finish(&session.prepared.subject(), session.facts()) {
        Some(command) => session.run_and_observe(&command).await?,
        None => session.observe().await?,
    }
    if !session.seen().matches(Kind::Services) {
        return Err(apart(session, Kind::Services).await);
    }
    close_old_ports(session).await
}

/// Brings the last healthy release back, if there is one and the manifest allows it. Returns the failure that describes
/// the result.
async fn roll_back(session: &mut Session, failure: Failure, context: &Execution<'_>) -> Failure {
    let subject = session.prepared.subject();
    let Some((bad, good)) = services::fallback(&subject, session.facts(), failure.reason) else { return failure };
    let rejected = Rejected {
        digest: bad.digest.clone(),
        pulled: bad.pulled.clone(),
        release: bad.id.clone(),
        by: Rejection::Health,
        message: failure.message(),
        at: (context.now)(),
    };
    let (bad, good) = (bad.id.clone(), good.clone());
    match restore(session, &good, &[rejected]).await {
        Ok(()) => {
            let details = failure.details.clone().unwrap_or_default();
            let what = format!("Release {bad} was rolled back to {}", good.id);
            Failure::new(Reason::RolledBack, what).because(failure).details(details)
        }
        // The facts were observed before another run took over.
        Err(again) if again.reason == Reason::LeaseLost => again,
        Err(again) => failure.hint(format!("Going back to release {} failed too: {}", good.id, again.message())),
    }
}

/// Goes back to a release on request. The live release and the release that the manifest defines are not tried again.
pub(super) async fn go_back(
    session: &mut Session,
    target: &ReleaseRecord,
    context: &Execution<'_>,
) -> Result<(), Failure> {
    let subject = session.prepared.subject();
    let live = session.facts().files.begun().next();
    let wanted = resource::release_identity::digest(&subject, session.facts());
    let wanted = wanted.map(|digest| (digest, resource::release_identity::wanted(&subject, session.facts())));
    let live_one = live.map(|live| (live.digest.clone(), live.pulled.clone()));
    let rejected: Vec<Rejected> = live_one
        .into_iter()
        .chain(wanted)
        .map(|(digest, pulled)| Rejected {
            digest,
            pulled,
            release: live.map(|live| live.id.clone()).unwrap_or_default(),
            by: Rejection::Hand,
            message: format!("rolled back to {}", target.id),
            at: (context.now)(),
        })
        .collect();
    restore(session, target, &rejected).await
}

/// Brings back a release that is still on the host, and waits until it is healthy.
async fn restore(session: &mut Session, target: &ReleaseRecord, rejected: &[Rejected]) -> Result<(), Failure> {
    let commands = services::restore(&session.prepared.subject(), session.facts(), target, rejected);
    // From here on the rejected inputs count as rejected, even if they were just tried again.
    session.prepared.retry = false;
    session.compare_again();
    let ran = run_all_and_observe(session, &commands).await;
    well(session, ran, &differing).await?;
    finish(session).await
}

fn join(first: Option<&str>, second: &str) -> String {
    [first.unwrap_or_default(), second].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join("\n")
}

/// Returns a phrase for each fact that differs. Leaves out the record of the release, which is written last.
fn differing(session: &Session) -> Vec<String> {
    let (observed, desired) = session.seen().both(Kind::Services);
    let changes = diff::changes(observed, desired).into_iter();
    let phrase = |change: Change| services::phrase(&change.fact, change.from.as_deref().unwrap_or("missing"));
    changes.filter(|change| Fact::of(&change.fact) != Fact::Release).map(phrase).collect()
}

fn unhealthy(bad: &[String], waited: Duration) -> Failure {
    let only_checks = bad.iter().all(|fact| matches!(Fact::of(fact), Fact::Check(_)));
    let reason = if only_checks { Reason::CheckFailed } else { Reason::Unhealthy };
    Failure::new(reason, format!("Not healthy after {} s: {}", waited.as_secs(), bad.join(", ")))
}

/// Closes the ports that only the old release used. They stay open until the new release runs, because a rollback would
/// need them.
async fn close_old_ports(session: &mut Session) -> Result<(), Failure> {
    let subject = session.prepared.subject();
    if !resource::firewall::outlived(&subject, session.facts()) {
        return Ok(());
    }
    let commands = resource::firewall::commands(&subject, session.facts());
    run_all(session, &commands).await?;
    reachable::firewall(session).await?;
    session.observe().await
}
