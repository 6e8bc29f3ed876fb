//! One pass of `watch` over one environment: the pass of `apply` with less output. Does not wait for a host, and does
//! not print unchanged results again.

use crate::io::store::Store;
use crate::manifest::Manifest;
use crate::manifest::environment::Environment;
use crate::model::event::{self, EnvironmentView, Event, Outcome, Sink, StepReason, StepState};
use crate::model::state::{Kind, Stage};
use crate::reconcile::connect::Kept;
use crate::reconcile::consent;
use crate::reconcile::context::Context;
use crate::reconcile::converge;
use crate::reconcile::pass::Pass;
use crate::reconcile::prepare::Resolve;
use crate::reconcile::request::{Asked, Goal, Outside, Request};
use crate::reconcile::signals::Stop;
use crate::reconcile::status;
use crate::reconcile::watch::schedule::End;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The input of a pass. It owns all its data, because passes run in parallel.
pub struct Job {
    pub context: Context,
    /// The manifest that is followed.
    pub manifest: Arc<Manifest>,
    /// The store, shared by all passes.
    pub store: Arc<Store>,
    /// The environment. Its quarantined facts are among those that it ignores.
    pub environment: Environment,
    /// The last output about the environment.
    pub said: Said,
    /// The connections of earlier passes.
    pub kept: Arc<Kept>,
    /// The stop request that a signal sets.
    pub stop: Arc<Stop>,
}

/// The output about an environment, kept so that it is not repeated.
#[derive(Clone, Debug, Default)]
pub struct Said {
    view: String,
    warnings: BTreeSet<String>,
}

/// The result of a pass.
pub struct Done {
    /// The result for the schedule.
    pub end: End,
    pub view: Option<EnvironmentView>,
    /// The number of steps that changed something.
    pub applied: usize,
    /// The facts that had drifted and were corrected.
    pub corrected: Vec<(Kind, String)>,
    pub took: Duration,
    pub said: Said,
}

/// The events of a running pass, collected.
#[derive(Default)]
struct Heard {
    before: Said,
    now: Said,
    view: Option<EnvironmentView>,
    drifted: BTreeMap<Kind, Vec<String>>,
    applied: BTreeSet<Kind>,
}

/// Runs the pass. Returns `None` if a signal ended it before anything was changed.
pub async fn run(job: Job) -> Option<Done> {
    let begun = Instant::now();
    let heard = Arc::new(Mutex::new(Heard { before: job.said.clone(), ..Heard::default() }));
    let context = Context { sink: listener(&heard, &job.context), ..job.context.clone() };
    let (end, applied) = match Pass::over(&context, Arc::clone(&job.manifest), Arc::clone(&job.store)).await {
        Ok(pass) => reconcile(&context, pass, &job).await?,
        Err(failure) => {
            context.say(Event::Failure(failure));
            (End::Failed, 0)
        }
    };
    let heard = std::mem::take(&mut *lock(&heard));
    let corrected = heard.drifted.into_iter().filter(|(kind, _)| heard.applied.contains(kind));
    let corrected = corrected.flat_map(|(kind, facts)| facts.into_iter().map(move |fact| (kind, fact))).collect();
    Some(Done { end, view: heard.view, applied, corrected, took: begun.elapsed(), said: heard.now })
}

async fn reconcile(context: &Context, mut pass: Pass, job: &Job) -> Option<(End, usize)> {
    let (goal, outside) = (Goal::Reach(Stage::Running), Outside::Asked);
    // A host that does not answer is tried again later, because other environments are waiting.
    let request = Request { goal, parallel: 1, destructive: false, outside, ..Request::look() };
    let asked = Asked { yes: true, wait: Duration::ZERO, ..Asked::new(context.command, Vec::new(), goal) };
    pass.kept = Some(Arc::clone(&job.kept));
    let prepared = pass.prepare(vec![job.environment.clone()], Resolve::Everything).await;
    let (sessions, proposal) = tokio::select! {
        proposed = converge::propose(context, &mut pass, prepared, &request, &asked, &job.stop.flag) => proposed,
        () = job.stop.wait() => return None,
    };
    for name in &proposal.spared {
        let message =
            "has the stage destroyed; watch does not destroy environments, but deployer apply does".to_owned();
        context.say(Event::Warning { environment: Some(name.clone()), message });
    }
    consent::warn_uncompared(context, &sessions).await;
    if sessions.is_empty() {
        let name = job.environment.name.as_str();
        let why = pass.failures.first().map(crate::model::failure::Failure::message);
        let view = status::view(&job.environment, pass.records.get(name), Vec::new(), Vec::new(), why);
        context.say(Event::Environment(Box::new(view)));
    }
    let applied = converge::carry_on(context, &mut pass, &sessions, &proposal, &request, &asked, &job.stop.flag).await;
    let end = match () {
        () if !pass.failures.is_empty() => End::Failed,
        () if !proposal.suspended.is_empty() || !proposal.spared.is_empty() => End::Held,
        () => End::Well,
    };
    pass.close(sessions, Outcome::Ok).await;
    Some((end, applied))
}

/// Returns a sink that collects all events and forwards the new ones.
fn listener(heard: &Arc<Mutex<Heard>>, context: &Context) -> Sink {
    let (heard, told, front) = (Arc::clone(heard), Arc::clone(&context.sink), Arc::clone(&context.front));
    Arc::new(move |event| {
        // Collected events are also served over HTTP.
        let event = front.without_secrets(event);
        if lock(&heard).hear(&event) {
            told(event);
        }
    })
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Heard {
    /// Records an event. Returns true if it is new.
    fn hear(&mut self, event: &Event) -> bool {
        match event {
            Event::Plan(plan) => {
                let drifted = plan.steps.iter().filter(|step| step.reason == StepReason::Drifted);
                let facts = drifted.map(|step| (step.kind, step.changes.iter().map(|it| it.fact.clone()).collect()));
                self.drifted = facts.collect();
                !plan.steps.is_empty()
            }
            Event::Step(step) => {
                if step.state == StepState::Applied {
                    self.applied.insert(step.kind);
                }
                true
            }
            Event::Environment(view) => {
                self.view = Some((**view).clone());
                self.now.view = event::line(&Event::Environment(Box::new(EnvironmentView {
                    observed_at: None,
                    ..(**view).clone()
                })));
                self.now.view != self.before.view
            }
            Event::Warning { message, .. } => {
                self.now.warnings.insert(message.clone());
                !self.before.warnings.contains(message)
            }
            _ => true,
        }
    }
}
