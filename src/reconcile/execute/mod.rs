//! Executes a plan: observes, writes the journal, changes, observes again, records the observation. Only this module
//! reports a step as skipped. Records only what was observed, not what was intended.

mod aside;
pub mod backup;
mod change;
pub mod journal;
mod machine;
pub mod reachable;
mod release;
pub mod restart;
pub mod restore;
mod step;

pub use step::{Step, Work};

use crate::io::store::Store;
use crate::model::event::{Event, FailedView, PlannedStep, Sink, StepState, StepView};
use crate::model::failure::Failure;
use crate::model::state::Kind;
use crate::plan::Plan;
use crate::reconcile::session::{Claim, Session, Sessions};
use crate::reconcile::status;
use crate::resource::Lane;
use aside::Aside;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use petgraph::graph::NodeIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

/// The context of an execution.
pub struct Execution<'a> {
    /// The store of observations and intents.
    pub store: &'a Store,
    /// The id of the run.
    pub run: &'a str,
    /// The id of the releases that this run makes.
    pub release: &'a str,
    /// The receiver of events.
    pub sink: &'a Sink,
    /// The claim with which leases are taken.
    pub claim: &'a Claim,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// The number of environments that are worked on at once.
    pub parallel: usize,
    /// The flag that a signal sets: no further step starts.
    pub stop: &'a AtomicBool,
}

/// The result of an execution.
#[derive(Default)]
pub struct Report {
    /// The number of steps that changed something.
    pub applied: usize,
    /// The failures of all steps.
    pub failures: Vec<Failure>,
}

/// Executes a plan. Each step starts once the steps that it needs ended well, in parallel to others if their lanes
/// allow that.
pub async fn execute(plan: &Plan<Step>, sessions: &Sessions, context: &Execution<'_>) -> Report {
    let mut report = Report::default();
    let mut waiting: Vec<NodeIndex> = plan.order();
    let mut ended: BTreeMap<NodeIndex, bool> = BTreeMap::new();
    let mut busy = Busy::default();
    let mut running = FuturesUnordered::new();
    loop {
        let mut later = Vec::new();
        for node in waiting {
            let step = plan.step(node);
            let planned = &step.shown;
            let needs: Vec<Option<bool>> = plan.needs(node).map(|need| ended.get(&need).copied()).collect();
            if needs.contains(&Some(false)) {
                say(context, planned, StepState::Blocked, None);
                ended.insert(node, false);
            } else if context.stop.load(Ordering::Relaxed) {
                ended.insert(node, false);
            } else if needs.contains(&None) || !busy.has_room(planned, context.parallel) {
                later.push(node);
            } else if let Some(session) = sessions.get(&planned.environment) {
                busy.0.insert((planned.environment.clone(), Lane::of(planned)));
                running.push(async move { (node, Box::pin(perform(step, session, context)).await) });
            }
        }
        waiting = later;
        let Some((node, result)) = running.next().await else { break };
        let planned = &plan.step(node).shown;
        busy.0.remove(&(planned.environment.clone(), Lane::of(planned)));
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

/// The environments with running steps, and the lanes in use.
#[derive(Default)]
struct Busy(BTreeSet<(String, Lane)>);

impl Busy {
    /// Returns true if a step can start, given the limit on environments that are worked on at once.
    fn has_room(&self, step: &PlannedStep, parallel: usize) -> bool {
        let mut own = self.0.iter().filter(|(environment, _)| *environment == step.environment).peekable();
        if own.peek().is_some() {
            return own.all(|(_, lane)| !lane.excludes(Lane::of(step)));
        }
        let environments: BTreeSet<&String> = self.0.iter().map(|(environment, _)| environment).collect();
        environments.len() < parallel
    }
}

fn say(context: &Execution<'_>, planned: &PlannedStep, state: StepState, took: Option<Duration>) {
    let duration_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let view = StepView { environment: planned.environment.clone(), kind: planned.kind, state, duration_ms };
    context.sink.as_ref()(Event::Step(view));
}

/// Runs one step, with its events, its journal entry and the record of the observation after it.
async fn perform(step: &Step, session: &Mutex<Session>, context: &Execution<'_>) -> Result<bool, Failure> {
    let planned = &step.shown;
    let mut held = session.lock().await;
    let begun = Instant::now();
    let intent = begin(planned, &mut held, begun, context).await?;
    let (held, result) = if Lane::of(planned) == Lane::Aside {
        let work = Aside::of(planned.kind, &held, context.release);
        drop(held);
        let (seen, result) = match work {
            Ok(work) => work.carry_out(session).await,
            Err(failure) => (None, Err(failure)),
        };
        say(context, planned, state(&result), Some(begun.elapsed()));
        let mut held = session.lock().await;
        if let Some(seen) = seen {
            held.learn(|facts| facts.renew(planned.kind, seen));
        }
        (held, result)
    } else {
        (held.kind, held.lane) = (Some(planned.kind), Lane::of(planned));
        let result = carry_out(step, &mut held, context).await;
        (held.kind, held.lane) = (None, Lane::default());
        say(context, planned, state(&result), Some(begun.elapsed()));
        (held, result)
    };
    end(planned, held, intent, result, context).await
}

/// Does the work of one step. Returns true if something was changed.
async fn carry_out(step: &Step, session: &mut Session, context: &Execution<'_>) -> Result<bool, Failure> {
    match (&step.work, step.shown.kind) {
        (Work::Provision(machine), _) => Box::pin(machine::carry_out(session, machine)).await.map(|()| true),
        (Work::Remove { purge }, kind) => change::remove(kind, session, *purge).await.map(|()| true),
        (Work::GoBack(target), _) => release::go_back(session, target, context).await.map(|()| true),
        (Work::Restart(service), _) => restart::carry_out(session, service.as_deref()).await.map(|()| true),
        (Work::Restore { archive, without_backup }, _) => {
            restore::carry_out(session, archive, *without_backup).await.map(|()| true)
        }
        (Work::Converge, Kind::Services) => release::start(session, context).await,
        (Work::Converge, kind) => change::converge(kind, session, context.release).await,
    }
}

/// Takes the lease, and records the start of a step in the journal. Returns the number of the journal entry.
async fn begin(
    planned: &PlannedStep,
    session: &mut Session,
    begun: Instant,
    context: &Execution<'_>,
) -> Result<i64, Failure> {
    let project = session.prepared.environment.project.to_string();
    let floor = context.store.token(&project, &planned.environment).await?;
    // An environment without a host is locked by the lock of OpenTofu's state.
    let owned = match session.connection {
        None if planned.kind == Kind::Infrastructure => Ok(()),
        _ => session.own(context.claim, floor).await,
    };
    if let Err(failure) = owned {
        say(context, planned, StepState::Failed, Some(begun.elapsed()));
        return Err(failure.on(&planned.environment));
    }
    say(context, planned, StepState::Started, None);
    if let Some(lease) = &session.lease {
        let holder = &context.claim.holder;
        context.store.take(&project, &planned.environment, lease.key.token, holder, (context.now)()).await?;
    }
    context.store.intend(context.run, &planned.environment, planned.kind, (context.now)()).await
}

/// Records the observation after a step, and the end of the step.
async fn end(
    planned: &PlannedStep,
    mut session: MutexGuard<'_, Session>,
    intent: i64,
    result: Result<bool, Failure>,
    context: &Execution<'_>,
) -> Result<bool, Failure> {
    let result = result.map_err(|failure| failure.on(&planned.environment));
    if let Err(failure) = &result {
        session.failed = Some(FailedView {
            kind: Some(planned.kind),
            reason: failure.reason.code().to_owned(),
            message: failure.message(),
            at: (context.now)(),
            run: context.run.to_owned(),
        });
    }
    let record = status::record(&session, (context.now)(), session.failed.clone());
    let project = session.prepared.environment.project.as_str();
    let token = session.lease.as_ref().map(|lease| lease.key.token);
    context.store.save(project, &planned.environment, &record, token).await?;
    context.store.settle(intent, state(&result).name(), (context.now)()).await?;
    result
}

const fn state(result: &Result<bool, Failure>) -> StepState {
    match result {
        Ok(true) => StepState::Applied,
        Ok(false) => StepState::Skipped,
        Err(_) => StepState::Failed,
    }
}
