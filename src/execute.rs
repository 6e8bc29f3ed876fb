//! Walks a plan: observes, journals, changes, observes again, saves what it saw. The only place that says
//! a step was skipped. Never saves what it meant to do.

use crate::event::{Action, Change, Event, FailedView, PlannedStep, Sink, StepState, StepView};
use crate::examine::examine;
use crate::failure::{Failure, Reason};
use crate::lease::Claim;
use crate::machine;
use crate::observe::Session;
use crate::plan::Plan;
use crate::proof;
use crate::smoke::Judgement;
use crate::standing;
use crate::state::{Facts, Kind};
use crate::step::record::{Rejected, Rejection, ReleaseRecord};
use crate::step::{self, Command, remove, services};
use crate::store::Store;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use petgraph::graph::NodeIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// What an execution needs beside its plan.
pub struct Execution<'a> {
    /// Where observations and intents go.
    pub store: &'a Store,
    /// The run's id.
    pub run: &'a str,
    /// Id of releases that this run makes.
    pub release: &'a str,
    /// Where events go.
    pub sink: &'a Sink,
    /// As whom and how patiently leases are taken.
    pub claim: &'a Claim,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// Whether what is taken off takes its data with it.
    pub purge: bool,
    /// How many environments are worked on at once.
    pub parallel: usize,
    /// Set by a signal: no further step starts.
    pub stop: &'a AtomicBool,
}

/// How an execution ended.
#[derive(Default)]
pub struct Report {
    /// Steps that changed something.
    pub applied: usize,
    /// Everything that failed.
    pub failures: Vec<Failure>,
}

/// Sessions by environment.
pub type Sessions = BTreeMap<String, Mutex<Session>>;

/// Executes a plan. `failed` names environments that could not be observed: what depends on them is blocked.
pub async fn execute(plan: &Plan, sessions: &Sessions, context: &Execution<'_>) -> Report {
    let mut report = Report::default();
    let mut waiting: Vec<NodeIndex> = plan.order();
    let mut ended: BTreeMap<NodeIndex, bool> = BTreeMap::new();
    let mut busy: BTreeSet<String> = BTreeSet::new();
    let mut running = FuturesUnordered::new();
    loop {
        let mut later = Vec::new();
        for node in waiting {
            let planned = plan.step(node);
            let needs: Vec<Option<bool>> = plan.needs(node).map(|need| ended.get(&need).copied()).collect();
            if needs.contains(&Some(false)) {
                say(context, planned, StepState::Blocked, None);
                ended.insert(node, false);
            } else if context.stop.load(Ordering::Relaxed) {
                ended.insert(node, false);
            } else if needs.contains(&None) || busy.contains(&planned.environment) || busy.len() >= context.parallel {
                later.push(node);
            } else if let Some(session) = sessions.get(&planned.environment) {
                busy.insert(planned.environment.clone());
                running.push(async move { (node, perform(planned, session, context).await) });
            }
        }
        waiting = later;
        let Some((node, result)) = running.next().await else { break };
        busy.remove(&plan.step(node).environment);
        ended.insert(node, result.is_ok());
        match result {
            Ok(changed) => report.applied += usize::from(changed),
            Err(failure) => {
                context.sink.as_ref()(Event::Failure(failure.clone()));
                report.failures.push(failure);
            }
        }
    }
    report
}

fn say(context: &Execution<'_>, planned: &PlannedStep, state: StepState, took: Option<Duration>) {
    let duration_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let view = StepView { environment: planned.environment.clone(), kind: planned.kind, state, duration_ms };
    context.sink.as_ref()(Event::Step(view));
}

/// One step, with its events, its journal entry and the record of what was seen after it.
async fn perform(planned: &PlannedStep, session: &Mutex<Session>, context: &Execution<'_>) -> Result<bool, Failure> {
    let mut session = session.lock().await;
    let started = Instant::now();
    let project = session.prepared.environment.project.to_string();
    let floor = context.store.token(&project, &planned.environment).await?;
    // What has no host yet is worked on under the lock of OpenTofu's state.
    let owned = match session.connection {
        None if planned.kind == Kind::Infrastructure => Ok(()),
        _ => session.own(context.claim, floor).await,
    };
    if let Err(failure) = owned {
        say(context, planned, StepState::Failed, Some(started.elapsed()));
        return Err(failure.on(&planned.environment));
    }
    say(context, planned, StepState::Started, None);
    let token = session.lease.as_ref().map(|lease| lease.token);
    if let Some(token) = token {
        let holder = &context.claim.holder;
        context.store.take(&project, &planned.environment, token, holder, (context.now)()).await?;
    }
    let intent = context.store.intend(context.run, &planned.environment, planned.kind, (context.now)()).await?;
    let result = change(planned, &mut session, context).await.map_err(|failure| failure.on(&planned.environment));
    let state = match &result {
        Ok(true) => StepState::Applied,
        Ok(false) => StepState::Skipped,
        Err(_) => StepState::Failed,
    };
    let failed = result.as_ref().err().map(|failure| FailedView {
        kind: Some(planned.kind),
        reason: failure.reason.code().to_owned(),
        message: failure.message.clone(),
        at: (context.now)(),
        run: context.run.to_owned(),
    });
    session.failed.clone_from(&failed);
    let record = standing::record(&session, (context.now)(), failed);
    context.store.save(&project, &planned.environment, &record, token).await?;
    context.store.settle(intent, word(state), (context.now)()).await?;
    say(context, planned, state, Some(started.elapsed()));
    result
}

const fn word(state: StepState) -> &'static str {
    match state {
        StepState::Started => "started",
        StepState::Applied => "applied",
        StepState::Skipped => "skipped",
        StepState::Failed => "failed",
        StepState::Blocked => "blocked",
    }
}

/// Brings one kind to its desired facts; true where something was changed.
async fn change(planned: &PlannedStep, session: &mut Session, context: &Execution<'_>) -> Result<bool, Failure> {
    if planned.kind == Kind::Infrastructure {
        return Box::pin(machine::carry_out(session)).await.map(|()| true);
    }
    if planned.action == Action::Remove && planned.destructive {
        let subject = session.prepared.subject();
        let commands = remove::commands(planned.kind, &subject, &session.facts, context.purge);
        run_all(session, &commands).await?;
        if planned.kind == Kind::Firewall {
            proof::firewall(session).await?;
        }
        session.observe().await?;
        return Ok(true);
    }
    let kind = planned.kind;
    let (observed, desired) = facts(session, kind);
    if let Some(target) = session.target.take() {
        return go_back(session, &target, context).await.map(|()| true);
    }
    if observed == desired {
        return Ok(false);
    }
    let subject = session.prepared.subject();
    // Whose host it is was decided with the plan: `--take-over` may have said so.
    let refused = step::preflight(kind, &subject, &session.facts).filter(|_| kind != Kind::Access);
    if let Some(refused) = refused {
        return Err(refused);
    }
    let commands = step::commands(kind, &subject, &session.facts, context.release)?;
    if kind == Kind::Firewall {
        run_all(session, &commands).await?;
        proof::firewall(session).await?;
        session.observe().await?;
    } else {
        let ran = run_all_and_observe(session, &commands).await;
        if kind == Kind::Services {
            return settle(session, ran, context).await.map(|()| true);
        }
        ran?;
    }
    let (observed, desired) = facts(session, kind);
    if observed == desired { Ok(true) } else { Err(apart(session, kind, &observed, &desired).await) }
}

/// Why a host differs from what its step was to bring about: one that goes down lets parts of a look fail first.
async fn apart(session: &Session, kind: Kind, observed: &Facts, desired: &Facts) -> Failure {
    if session.gone().await {
        return Failure::new(Reason::ConnectionLost, format!("The connection broke after the {kind} step"));
    }
    not_converged(kind, observed, desired)
}

/// What the old release alone had open stays so until the new one runs: were it rolled back, it would need it.
async fn close_old_ports(session: &mut Session) -> Result<(), Failure> {
    let subject = session.prepared.subject();
    if !step::firewall::outlived(&subject, &session.facts) {
        return Ok(());
    }
    let commands = step::firewall::commands(&subject, &session.facts);
    run_all(session, &commands).await?;
    proof::firewall(session).await?;
    session.observe().await
}

fn facts(session: &Session, kind: Kind) -> (Facts, Facts) {
    let subject = session.prepared.subject();
    let of = |state: crate::state::State| state.0.get(&kind).cloned().unwrap_or_default();
    (of(step::observed(&subject, &session.facts)), of(step::desired(&subject, &session.facts)))
}

fn not_converged(kind: Kind, observed: &Facts, desired: &Facts) -> Failure {
    let differing: Vec<String> = crate::diff::changes(observed, desired)
        .into_iter()
        .map(|change| {
            let word = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
            format!("{} is {} instead of {}", change.fact, word(change.from), word(change.to))
        })
        .collect();
    Failure::new(Reason::NotConverged, format!("The {kind} step ran, yet {}", differing.join(", ")))
}

async fn run_all(session: &mut Session, commands: &[Command]) -> Result<(), Failure> {
    for command in commands {
        session.progress(command.title.clone());
        session.run(command).await?;
    }
    Ok(())
}

/// The same, and a look at the host after the last of them.
async fn run_all_and_observe(session: &mut Session, commands: &[Command]) -> Result<(), Failure> {
    let Some((last, before)) = commands.split_last() else { return session.observe().await };
    run_all(session, before).await?;
    session.progress(last.title.clone());
    session.run_and_observe(last).await
}

/// Waits until all services are well, then records the release as converged. One that does not become well gives way
/// to the last one that was.
async fn settle(session: &mut Session, ran: Result<(), Failure>, context: &Execution<'_>) -> Result<(), Failure> {
    let proven = match well(session, ran).await {
        Ok(()) => smoke(session, context).await,
        failed => failed,
    };
    match proven {
        Ok(()) => finish(session).await,
        Err(failure) => Err(roll_back(session, failure, context).await),
    }
}

/// Puts a tracker stack to the test, where the manifest wants that of each of its releases.
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

/// Waits until all services are well, which were looked at where what started them ran to its end. Ends early where
/// waiting cannot help.
async fn well(session: &mut Session, ran: Result<(), Failure>) -> Result<(), Failure> {
    let limit = session.prepared.environment.health.timeout;
    let (started, mut pause) = (Instant::now(), Duration::from_millis(200));
    if ran.is_err() {
        session.observe().await?;
    }
    loop {
        let (observed, desired) = facts(session, Kind::Services);
        if ran.is_ok() && services::settled(&observed, &desired) {
            return Ok(());
        }
        if let Err(failure) = &ran {
            return Err(failure.clone().details(join(failure.details.as_deref(), &session.last_words().await)));
        }
        if started.elapsed() >= limit || services::hopeless(&session.facts) {
            let failure = unhealthy(&observed, &desired, started.elapsed());
            return Err(failure.details(session.last_words().await));
        }
        session.progress(format!("wait: {}", unwell(&observed, &desired).join(", ")));
        let left = limit.saturating_sub(started.elapsed());
        if let Some(script) = services::answers(&session.prepared.subject(), &session.facts, left) {
            session.observe_after(&script).await?;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(2));
            session.observe().await?;
        }
    }
}

/// Records the release that is live as the one that converged, and closes what only another one had open.
async fn finish(session: &mut Session) -> Result<(), Failure> {
    match services::finish(&session.prepared.subject(), &session.facts) {
        Some(command) => session.run_and_observe(&command).await?,
        None => session.observe().await?,
    }
    let (observed, desired) = facts(session, Kind::Services);
    if observed != desired {
        return Err(apart(session, Kind::Services, &observed, &desired).await);
    }
    close_old_ports(session).await
}

/// Brings the last healthy release back where there is one and the manifest does not forbid it; says how that went.
async fn roll_back(session: &mut Session, failure: Failure, context: &Execution<'_>) -> Failure {
    let subject = session.prepared.subject();
    let Some((bad, good)) = services::fallback(&subject, &session.facts, failure.reason) else { return failure };
    let rejected = Rejected {
        digest: bad.digest.clone(),
        pulled: bad.pulled.clone(),
        release: bad.id.clone(),
        by: Rejection::Health,
        message: failure.message.clone(),
        at: (context.now)(),
    };
    let (bad, good) = (bad.id.clone(), good.clone());
    match restore(session, &good, &[rejected]).await {
        Ok(()) => {
            let message = format!("Release {bad} was rolled back to {}: {}", good.id, failure.message);
            Failure::new(Reason::RolledBack, message).details(failure.details.unwrap_or_default())
        }
        // What was seen is of the time before another run took over.
        Err(again) if again.reason == Reason::LeaseLost => again,
        Err(again) => failure.hint(format!("Going back to release {} failed too: {}", good.id, again.message)),
    }
}

/// Goes back to a release because somebody asked for it: what was live and what the manifest wants is not tried again.
async fn go_back(session: &mut Session, target: &ReleaseRecord, context: &Execution<'_>) -> Result<(), Failure> {
    let subject = session.prepared.subject();
    let live = session.facts.files.begun().next();
    let wanted = step::files::digest(&subject, &session.facts);
    let wanted = wanted.map(|digest| (digest, step::images::registry::wanted(&subject, &session.facts)));
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

/// Brings a release back that the host still has, and waits until it is well.
async fn restore(session: &mut Session, target: &ReleaseRecord, rejected: &[Rejected]) -> Result<(), Failure> {
    let command = services::restore(&session.prepared.subject(), &session.facts, target, rejected);
    let ran = run_all_and_observe(session, &[command]).await;
    // From here on the rejected inputs count as such, also where they were just tried again.
    session.prepared.retry = false;
    well(session, ran).await?;
    finish(session).await
}

fn join(first: Option<&str>, second: &str) -> String {
    [first.unwrap_or_default(), second].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join("\n")
}

/// What is not as wanted, one phrase a fact; the release's record, which is written last, left out.
fn unwell(observed: &Facts, desired: &Facts) -> Vec<String> {
    let changes = crate::diff::changes(observed, desired).into_iter();
    let phrase = |change: Change| format!("{} is {}", change.fact, change.from.unwrap_or_else(|| "missing".to_owned()));
    changes.filter(|change| change.fact != services::RELEASE).map(phrase).collect()
}

fn unhealthy(observed: &Facts, desired: &Facts, waited: Duration) -> Failure {
    let bad = unwell(observed, desired);
    let only_checks = bad.iter().all(|fact| fact.starts_with("check "));
    let reason = if only_checks { Reason::CheckFailed } else { Reason::Unhealthy };
    Failure::new(reason, format!("After {} s, {}", waited.as_secs(), bad.join(", ")))
}
