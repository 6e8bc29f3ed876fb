//! One reconcile pass that changes hosts: plan, consent, execution, summary. `apply`, the lifecycle
//! commands, `register` and `destroy` differ only in what they ask of it.

use super::pass::{Keep, Pass, refuse};
use super::signals::{self, Stop};
use super::{Context, Ending};
use crate::event::{Event, Outcome, Sink, Why};
use crate::execute::{self, Execution, Report, Sessions};
use crate::failure::{Failure, Reason};
use crate::prepare::Prepared;
use crate::preview;
use crate::reconcile::{Goal, Proposal, Request, Trust};
use crate::render;
use crate::standing;
use crate::state::Stage;
use crate::store::{Record, Run, Store};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What is asked of a pass.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The command's name, for the record.
    pub command: &'static str,
    /// Environments named; none: all.
    pub environments: Vec<String>,
    /// Where it leads.
    pub goal: Goal,
    /// Do not ask at the terminal.
    pub yes: bool,
    /// How many hosts at once.
    pub parallel: usize,
    /// Environments that may be destroyed.
    pub allow_destroy: Vec<String>,
    /// What is taken on trust.
    pub trust: Trust,
}

/// Runs the pass until its end or a second signal; what failed was already said.
pub async fn run(context: &Context, asked: &Asked) -> Ending {
    let work = async |stop: Arc<Stop>| {
        reconcile(context, asked, &stop.flag).await.unwrap_or_else(|failures| refuse(context, &failures))
    };
    signals::heed(context, work).await
}

async fn reconcile(context: &Context, asked: &Asked, stop: &AtomicBool) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Always).await?;
    let destroy = matches!(asked.goal, Goal::Destroy { .. });
    let environments = pass.select(&asked.environments, !destroy)?;
    let request = Request {
        goal: asked.goal,
        parallel: asked.parallel,
        patient: true,
        resume: !asked.environments.is_empty(),
        destructive: true,
        trust: asked.trust,
    };
    let prepared = pass.prepare(environments, destroy).await;
    let (sessions, proposal) = propose(context, &mut pass, prepared, &request).await;
    let applied = carry_on(context, &mut pass, &sessions, &proposal, &request, asked, stop).await;
    Ok(pass.close(sessions, if applied == 0 { Outcome::Converged } else { Outcome::Changed }).await)
}

/// The first half of a pass: hosts are observed, doubts settled, steps found. Changes nothing on any host.
pub async fn propose(
    context: &Context,
    pass: &mut Pass,
    prepared: Vec<Prepared>,
    request: &Request,
) -> (Sessions, Proposal) {
    let (sessions, failed) = pass.observe(context, prepared, request).await;
    let unreachable: Vec<String> = failed.iter().map(|(prepared, _)| prepared.name().to_owned()).collect();
    doubts(context, pass, &sessions).await;
    let proposal = crate::reconcile::propose(&sessions, &unreachable, request).await;
    for failure in &proposal.refused {
        pass.fail(failure.clone());
    }
    say_suspended(context, &proposal);
    say_left(context, &proposal);
    (sessions, proposal)
}

/// The second half: the plan is shown, agreed to and carried out, and its outcome shown. How many steps changed
/// something.
pub async fn carry_on(
    context: &Context,
    pass: &mut Pass,
    sessions: &Sessions,
    proposal: &Proposal,
    request: &Request,
    asked: &Asked,
    stop: &AtomicBool,
) -> usize {
    let agreed = match show(context, sessions, proposal).await {
        Ok(doomed) => agree(context, sessions, proposal, &doomed, asked).await,
        Err(failure) => Err(failure),
    };
    let applied = match agreed {
        Ok(true) => carry_out(context, pass, sessions, proposal, asked, stop).await,
        Ok(false) => 0,
        Err(failure) => {
            pass.fail(failure);
            0
        }
    };
    summarise(context, pass, sessions, request).await;
    applied
}

/// Settles the steps that an earlier run began and did not end: the hosts were just asked how they ended.
async fn doubts(context: &Context, pass: &mut Pass, sessions: &Sessions) {
    let Some(store) = &pass.store else { return };
    let settled = async {
        for doubt in store.in_doubt(pass.manifest.project.as_str()).await? {
            if let Some(session) = sessions.get(&doubt.environment) {
                session.lock().await.outlast().await.map_err(|failure| failure.on(&doubt.environment))?;
                store.settle(doubt.intent, "observed again", (context.now)()).await?;
                let kind = doubt.kind.map_or("a", |kind| kind.name());
                let message = format!("An earlier run broke off in the {kind} step; its host was observed again");
                context.say(Event::Warning { environment: Some(doubt.environment), message });
            }
        }
        Ok(())
    };
    if let Err(failure) = settled.await {
        pass.fail(failure);
    }
}

/// Says which environments are left alone.
pub fn say_suspended(context: &Context, proposal: &Proposal) {
    for name in &proposal.suspended {
        let message = format!("is suspended and left alone; deployer resume {name} takes it up again");
        context.say(Event::Warning { environment: Some(name.clone()), message });
    }
}

/// Says what has drifted and is not corrected.
fn say_left(context: &Context, proposal: &Proposal) {
    for left in proposal.left.iter().filter(|left| left.why == Why::Detect) {
        let facts = left.changes.iter().map(|change| change.fact.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("has drifted and is left as it is (drift.policy is detect): {} {facts}", left.kind);
        context.say(Event::Warning { environment: Some(left.environment.clone()), message });
    }
}

/// Says the plan, with its diffs; returns the environments it destroys.
pub async fn show(context: &Context, sessions: &Sessions, proposal: &Proposal) -> Result<BTreeSet<String>, Failure> {
    let mut view = proposal.plan.view(proposal.converged.clone());
    view.left.clone_from(&proposal.left);
    for step in view.steps.iter_mut().filter(|step| !step.destructive) {
        if let Some(session) = sessions.get(&step.environment) {
            preview::annotate(&*session.lock().await, step).await?;
        }
    }
    let doomed = view.steps.iter().filter(|step| step.destructive).map(|step| step.environment.clone()).collect();
    context.say(Event::Plan(view));
    Ok(doomed)
}

/// Whether there is something to do and it may be done.
async fn agree(
    context: &Context,
    sessions: &Sessions,
    proposal: &Proposal,
    doomed: &BTreeSet<String>,
    asked: &Asked,
) -> Result<bool, Failure> {
    if proposal.plan.is_empty() {
        return Ok(false);
    }
    consent(context, sessions, doomed, asked).await?;
    let ask = doomed.is_empty() && !asked.yes && context.render.can_ask();
    let agreed = || {
        context.render.ask("Apply this plan? [y/N]").is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes"))
    };
    if ask && !agreed() {
        return Err(Failure::new(Reason::ConsentMissing, "The plan was not confirmed").hint("Nothing was changed"));
    }
    Ok(true)
}

/// Destroying needs the environment's name: in the manifest as its stage, as an option, or typed.
async fn consent(
    context: &Context,
    sessions: &Sessions,
    doomed: &BTreeSet<String>,
    asked: &Asked,
) -> Result<(), Failure> {
    for name in doomed {
        let declared = match sessions.get(name) {
            Some(session) => session.lock().await.prepared.environment.stage == Stage::Destroyed,
            None => false,
        };
        let allowed = declared || asked.allow_destroy.contains(name);
        let typed = || {
            let answer = context.render.ask(&format!("Type {name} to destroy it:"));
            answer.is_some_and(|answer| answer.trim() == name)
        };
        if !allowed && !typed() {
            let failure =
                Failure::new(Reason::ConsentMissing, format!("{name} is not destroyed without consent by its name"));
            return Err(failure.on(name));
        }
    }
    Ok(())
}

async fn carry_out(
    context: &Context,
    pass: &mut Pass,
    sessions: &Sessions,
    proposal: &Proposal,
    asked: &Asked,
    stop: &AtomicBool,
) -> usize {
    let Some(store) = &pass.store else { return 0 };
    let run = Run {
        id: uuid::Uuid::now_v7().to_string(),
        command: asked.command.to_owned(),
        project: pass.manifest.project.to_string(),
        started_at: (context.now)(),
        by: context.by.clone(),
    };
    let (report, kept) = journalled(context, store, &run, sessions, proposal, asked, stop).await;
    if let Err(failure) = kept {
        pass.fail(failure);
    }
    pass.failures.extend(report.failures);
    report.applied
}

/// Executes the plan as a run of the store, with its events.
async fn journalled(
    context: &Context,
    store: &Store,
    run: &Run,
    sessions: &Sessions,
    proposal: &Proposal,
    asked: &Asked,
    stop: &AtomicBool,
) -> (Report, Result<(), Failure>) {
    if let Err(failure) = store.begin(run).await {
        return (Report::default(), Err(failure));
    }
    let (send, mut said) = tokio::sync::mpsc::unbounded_channel();
    let (told, now) = (context.sink.clone(), context.now);
    let sink: Sink = Arc::new(move |event| {
        if matches!(event, Event::Step(_) | Event::Failure(_)) {
            // A run whose history cannot be kept goes on.
            let _ = send.send((now(), render::line(&event)));
        }
        told(event);
    });
    let work = async {
        let release = format!("{}-{}", run.started_at.strftime("%Y%m%dT%H%M%SZ"), &run.id[run.id.len() - 4..]);
        let (run, parallel) = (run.id.as_str(), asked.parallel);
        let purge = asked.goal == Goal::Destroy { purge: true };
        let execution = Execution { store, run, release: &release, sink: &sink, now, purge, parallel, stop };
        let report = execute::execute(&proposal.plan, sessions, &execution).await;
        drop(sink);
        report
    };
    let keep = async {
        while let Some((at, line)) = said.recv().await {
            store.log(&run.id, at, &line).await?;
        }
        Ok(())
    };
    let (report, kept) = tokio::join!(work, keep);
    let outcome = if report.failures.is_empty() { Outcome::Changed } else { Outcome::Failed };
    let ended = store.end(&run.id, outcome, now()).await;
    (report, kept.and(ended))
}

/// How each environment stands at the end.
async fn summarise(context: &Context, pass: &mut Pass, sessions: &Sessions, request: &Request) {
    for (name, session) in sessions {
        let session = session.lock().await;
        let environment = &session.prepared.environment;
        let before = pass.records.get(name).and_then(|record| record.failed.clone());
        let mut record = standing::record(&session, (context.now)(), session.failed.clone());
        let stage = request.goal.stage(environment).filter(|_| !record.suspended).unwrap_or(Stage::Destroyed);
        let (steps, left) = session.prepared.steps_and_rest(&session.facts, stage);
        if !steps.is_empty() {
            record.failed = record.failed.or(before);
        }
        let drifted = Prepared::differing(&steps, &left);
        context.say(Event::Environment(Box::new(standing::view(environment, Some(&record), drifted, left, None))));
        drop(session);
        // Where no step ran, the observation is on the disk already.
        let kept = pass.records.get(name).map(|kept| Record { observed_at: record.observed_at, ..kept.clone() });
        if kept.as_ref() != Some(&record) {
            pass.save(name, record).await;
        }
    }
}
