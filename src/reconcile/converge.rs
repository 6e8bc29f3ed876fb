//! One reconcile pass that changes hosts: plan, consent, execution, summary. `apply`, the lifecycle commands,
//! `register` and `destroy` differ only in their request.

use crate::io::store::Record;
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::Failure;
use crate::model::state::Stage;
use crate::plan::saved::SavedFile;
use crate::reconcile::context::Context;
use crate::reconcile::execute::journal::{self, Pace};
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::prepare::{Prepared, Resolve};
use crate::reconcile::propose::Proposal;
use crate::reconcile::request::{Asked, Goal, Outside, Request};
use crate::reconcile::session::Sessions;
use crate::reconcile::signals::{self, Stop};
use crate::reconcile::status;
use crate::reconcile::{consent, saved};
use crate::resource;
use crate::resource::contract::record::Rejection;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Runs the pass until it ends or a second signal comes. Failures are already printed.
pub async fn run(context: &Context, asked: &Asked) -> Ending {
    let work = async |stop: Arc<Stop>| {
        reconcile(context, asked, &stop.flag).await.unwrap_or_else(|failures| refuse(context, &failures))
    };
    signals::interruptible(context, work).await
}

async fn reconcile(context: &Context, asked: &Asked, stop: &AtomicBool) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Always).await?;
    let destroy = matches!(asked.goal, Goal::Destroy { .. });
    let names = asked.saved.as_ref().map_or_else(|| asked.environments.clone(), |file| file.plan.names());
    if let Some(saved) = &asked.saved {
        saved::fits(&saved.plan, pass.manifest.project.as_str(), &|name| pass.knows(name))?;
    }
    let environments = pass.select_to_change(&names, &asked.allow_destroy, destroy).await?;
    let request = Request {
        goal: asked.goal,
        release: asked.release.clone(),
        parallel: asked.parallel,
        patient: true,
        resume: asked.saved.as_ref().map_or(!asked.environments.is_empty(), |file| file.plan.named),
        destructive: true,
        outside: Outside::Asked,
        take_over: asked.take_over,
    };
    let resolve = match asked.goal {
        Goal::Destroy { .. } => Resolve::Connection,
        Goal::RollBack => Resolve::RollBack,
        Goal::Reach(_) => Resolve::Everything,
    };
    let prepared = pass.prepare(environments, resolve).await;
    if asked.goal == Goal::RollBack {
        consent::warn_unread(context, &prepared, "the next apply may start its release again");
    }
    consent::warn_other_projects(context, prepared.iter().filter_map(consent::other_project));
    let (sessions, mut proposal) = propose(context, &mut pass, prepared, &request, asked, stop).await;
    if let Some(saved) = &asked.saved {
        proposal = unmoved(context, &mut pass, saved, &sessions, (asked, &request), proposal).await;
        // A saved plan is executed as a whole or not at all.
        if !pass.failures.is_empty() {
            return Ok(pass.close(sessions, Outcome::Stale).await);
        }
    }
    let applied = carry_on(context, &mut pass, &sessions, &proposal, &request, asked, stop).await;
    if matches!(asked.goal, Goal::Reach(_)) {
        // All other steps were done, but it is unknown whether the newest images run.
        let failed: Vec<&String> = pass.failures.iter().filter_map(|failure| failure.environment.as_ref()).collect();
        let told = |name: &String| failed.contains(&name) || proposal.suspended.contains(name);
        let mut silent = crate::reconcile::propose::uncompared(&sessions).await;
        silent.retain(|name, _| !told(name));
        for failure in silent.into_values() {
            pass.fail(failure);
        }
    }
    Ok(pass.close(sessions, if applied == 0 { Outcome::Converged } else { Outcome::Changed }).await)
}

/// Runs the first half of a pass: observes hosts, settles doubts, finds steps. Changes no host.
pub async fn propose(
    context: &Context,
    pass: &mut Pass,
    mut prepared: Vec<Prepared>,
    request: &Request,
    asked: &Asked,
    stop: &AtomicBool,
) -> (Sessions, Proposal) {
    for one in &mut prepared {
        one.retry = asked.retry;
        one.new_volumes.clone_from(&asked.new_volumes);
        one.take_over = request.take_over;
    }
    let (sessions, failed) = pass.observe(context, prepared, request).await;
    let unreachable: Vec<String> = failed.iter().map(|(prepared, _)| prepared.name().to_owned()).collect();
    // The removal of an environment itself ends what an interrupted run left running on its host.
    let waits = !matches!(request.goal, Goal::Destroy { .. });
    wait(&sessions, asked.wait, stop).await;
    doubts(context, pass, &sessions, waits).await;
    if asked.saved.is_some() {
        pass.derive_keys(&sessions).await;
    }
    let proposal = crate::reconcile::propose::propose(&sessions, &unreachable, request).await;
    for failure in &proposal.refused {
        pass.fail(failure.clone());
    }
    consent::say_left(context, &proposal);
    (sessions, proposal)
}

/// Runs the second half of a pass: shows the plan, asks for consent, executes the plan, prints the summary. Returns the
/// number of steps that changed something.
pub async fn carry_on(
    context: &Context,
    pass: &mut Pass,
    sessions: &Sessions,
    proposal: &Proposal,
    request: &Request,
    asked: &Asked,
    stop: &AtomicBool,
) -> usize {
    let agreed = match consent::show(context, pass, sessions, proposal).await {
        Ok(doomed) => {
            let consents = (asked.yes, asked.allow_destroy.as_slice());
            consent::agree(context, sessions, proposal, &doomed, consents, stop).await
        }
        Err(failure) => Err(failure),
    };
    let applied = match agreed {
        Ok(true) => {
            let pace = Pace { parallel: asked.parallel, wait: asked.wait, stop };
            journal::execute(context, pass, sessions, &proposal.plan, &pace).await
        }
        Ok(false) => 0,
        Err(failure) => {
            pass.fail(failure);
            0
        }
    };
    summarise(context, pass, sessions, request).await;
    applied
}

/// Checks a saved plan against the hosts and returns the current proposal. A plan that is stale at the first
/// observation leaves no trace on a host. Otherwise takes the leases, so that no other run changes a host, and checks
/// again.
async fn unmoved(
    context: &Context,
    pass: &mut Pass,
    saved: &SavedFile,
    sessions: &Sessions,
    (asked, request): (&Asked, &Request),
    proposal: Proposal,
) -> Proposal {
    if let Err(failures) = saved::stale(context, pass, saved, sessions, &proposal).await {
        for failure in failures {
            pass.fail(failure);
        }
    }
    if !pass.failures.is_empty() || proposal.plan.is_empty() {
        return proposal;
    }
    pass.own(&context.claim(asked.wait), sessions).await;
    let proposal = crate::reconcile::propose::propose(sessions, &[], request).await;
    if pass.failures.is_empty()
        && let Err(failures) = saved::stale(context, pass, saved, sessions, &proposal).await
    {
        for failure in failures {
            pass.fail(failure);
        }
    }
    proposal
}

/// Waits for the other runs that work on these environments: a plan of a state that they are changing is wrong. A
/// signal ends the wait.
async fn wait(sessions: &Sessions, limit: Duration, stop: &AtomicBool) {
    let deadline = Instant::now() + limit;
    for (name, session) in sessions {
        let mut session = session.lock().await;
        if let Err(failure) = session.wait_for_other(deadline, stop).await {
            session.locked = Some(failure.on(name));
        }
    }
}

/// Settles the steps that an interrupted run began and did not end: their hosts were just observed. The steps of a run
/// that lives are its own.
async fn doubts(context: &Context, pass: &mut Pass, sessions: &Sessions, waits: bool) {
    let Some(store) = &pass.store else { return };
    let settled = async {
        for doubt in store.in_doubt(pass.manifest.project.as_str()).await? {
            if let Some(session) = sessions.get(&doubt.environment) {
                if session.lock().await.other_run().is_some() {
                    continue;
                }
                if waits {
                    session.lock().await.outlast().await.map_err(|failure| failure.on(&doubt.environment))?;
                }
                store.settle(doubt.intent, "observed again", (context.now)()).await?;
                let kind = doubt.kind.map_or("a", |kind| kind.name());
                let message = format!("The previous run was interrupted during {kind}; the host was read again");
                context.say(Event::Warning { environment: Some(doubt.environment), message });
            }
        }
        Ok(())
    };
    if let Err(failure) = settled.await {
        pass.fail(failure);
    }
}

/// Prints and records the final state of each environment.
async fn summarise(context: &Context, pass: &mut Pass, sessions: &Sessions, request: &Request) {
    for (name, session) in sessions {
        let session = session.lock().await;
        let environment = &session.prepared.environment;
        let before = pass.records.get(name).and_then(|record| record.failed.clone());
        let mut record = status::record(&session, (context.now)(), session.failed.clone());
        let stage = request.goal.stage(environment).filter(|_| !record.suspended).unwrap_or(Stage::Destroyed);
        let (steps, left) = session.prepared.steps_and_rest(session.seen(), stage);
        let held = resource::release_identity::held(&session.prepared.subject(), session.facts());
        if !steps.is_empty() || held.is_some_and(|rejected| rejected.by == Rejection::Health) {
            record.failed = record.failed.or(before);
        }
        let drifted = Prepared::differing(&steps, &left);
        context.say(Event::Environment(Box::new(status::view(environment, Some(&record), drifted, left, None))));
        let gone = resource::remove::nothing_left(environment, session.facts());
        let off = environment.orphaned && gone;
        let elsewhere = environment.provision.as_ref().is_some_and(|provision| provision.backend.is_some());
        drop(session);
        if gone && elsewhere {
            // The record of a remote state that is now empty is dropped.
            pass.forget_machine(name).await;
        }
        // If no step ran, the observation is already saved.
        if off {
            pass.forget(name).await;
            continue;
        }
        let kept = pass.records.get(name).map(|kept| Record { observed_at: record.observed_at, ..kept.clone() });
        if kept.as_ref() != Some(&record) {
            pass.save(name, record).await;
        }
    }
}
