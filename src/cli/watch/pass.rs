//! One pass of a watch over one environment: that of `apply`, said more quietly. Never waits for a host, and never says
//! twice in a row what did not change.

use crate::cli::converge::{self, Asked};
use crate::cli::pass::Pass;
use crate::cli::signals::Stop;
use crate::cli::{Context, consent};
use crate::io::store::Store;
use crate::manifest::Manifest;
use crate::manifest::environment::Environment;
use crate::model::diff;
use crate::model::event::{EnvironmentView, Event, Outcome, Sink, StepState};
use crate::model::state::{Kind, Stage};
use crate::reconcile::connect::Kept;
use crate::reconcile::prepare::Resolve;
use crate::reconcile::propose::{Goal, Outside, Request, Trust};
use crate::reconcile::status;
use crate::reconcile::watch::schedule::End;
use crate::render;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a pass is given. It owns everything, since it runs beside others.
pub struct Job {
    /// What every command is given.
    pub context: Context,
    /// The manifest that is followed.
    pub manifest: Arc<Manifest>,
    /// The store, shared by all passes.
    pub store: Arc<Store>,
    /// The environment, with what is quarantined among what it ignores.
    pub environment: Environment,
    /// What was said of it last.
    pub said: Said,
    /// Connections of earlier passes.
    pub kept: Arc<Kept>,
    /// Set by a signal.
    pub stop: Arc<Stop>,
}

/// What was said of an environment, so as not to say it again.
#[derive(Clone, Debug, Default)]
pub struct Said {
    view: String,
    warnings: BTreeSet<String>,
}

/// How a pass ended.
pub struct Done {
    /// For the schedule.
    pub end: End,
    /// How the environment stands.
    pub view: Option<EnvironmentView>,
    /// Steps that changed something.
    pub applied: usize,
    /// Facts that had drifted and were put right.
    pub corrected: Vec<(Kind, String)>,
    /// How long it took.
    pub took: Duration,
    /// What was said.
    pub said: Said,
}

/// What is heard of a pass while it runs.
#[derive(Default)]
struct Heard {
    before: Said,
    now: Said,
    view: Option<EnvironmentView>,
    drifted: BTreeMap<Kind, Vec<String>>,
    applied: BTreeSet<Kind>,
}

/// Runs the pass; `None` where a signal ended it before anything was changed.
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
    let trust = Trust::default();
    let (goal, outside) = (Goal::Reach(Stage::Running), Outside::Asked);
    // A host that does not answer is tried again later: others are waiting.
    let request = Request { goal, parallel: 1, patient: false, resume: false, destructive: false, outside, trust };
    let asked = Asked { yes: true, wait: Duration::ZERO, ..Asked::new(context.command, Vec::new(), goal) };
    pass.kept = Some(Arc::clone(&job.kept));
    let prepared = pass.prepare(vec![job.environment.clone()], Resolve::Everything).await;
    let (sessions, proposal) = tokio::select! {
        proposed = converge::propose(context, &mut pass, prepared, &request, &asked) => proposed,
        () = job.stop.wait() => return None,
    };
    for name in &proposal.spared {
        let message = "is to be destroyed, which watch never does; deployer apply does".to_owned();
        context.say(Event::Warning { environment: Some(name.clone()), message });
    }
    consent::warn_uncompared(context, &sessions).await;
    if sessions.is_empty() {
        let name = job.environment.name.as_str();
        let why = pass.failures.first().map(|failure| failure.message.clone());
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

/// Notes what is said and passes on what is new.
fn listener(heard: &Arc<Mutex<Heard>>, context: &Context) -> Sink {
    let (heard, told, render) = (Arc::clone(heard), Arc::clone(&context.sink), Arc::clone(&context.render));
    Arc::new(move |event| {
        // What is kept is also served over HTTP.
        let event = render.without_secrets(event);
        if lock(&heard).hear(&event) {
            told(event);
        }
    })
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Heard {
    /// Notes an event; true where it is news.
    fn hear(&mut self, event: &Event) -> bool {
        match event {
            Event::Plan(plan) => {
                let drifted = plan.steps.iter().filter(|step| step.reason == diff::DRIFTED);
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
                self.now.view = render::line(&Event::Environment(Box::new(EnvironmentView {
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
