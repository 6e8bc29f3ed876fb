//! A run in the store's journal: the execution of a plan with its events, or of one step that a user asked for by name.
//! Changes hosts only through [`super::execute`].

use super::{Execution, Step, Work};
use crate::io::store::{Run, Store};
use crate::model::event::{self, Event, Outcome, Sink};
use crate::model::failure::Failure;
use crate::plan::Plan;
use crate::reconcile::context::Context;
use crate::reconcile::pass::Pass;
use crate::reconcile::session::Sessions;
use crate::reconcile::status;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How a plan is executed.
pub struct Pace<'a> {
    /// The number of hosts that are worked on at once.
    pub parallel: usize,
    /// The time to wait for another run that works on the same environment.
    pub wait: Duration,
    /// The flag that a signal sets: no further step starts.
    pub stop: &'a AtomicBool,
}

/// Executes a plan as a run in the store. Returns the number of steps that changed something.
pub async fn execute(
    context: &Context,
    pass: &mut Pass,
    sessions: &Sessions,
    plan: &Plan<Step>,
    pace: &Pace<'_>,
) -> usize {
    let Some(store) = &pass.store else { return 0 };
    let run = Run {
        id: uuid::Uuid::now_v7().to_string(),
        command: context.command.to_owned(),
        project: pass.manifest.project.to_string(),
        started_at: (context.now)(),
        by: context.by.clone(),
    };
    if let Err(failure) = store.begin(&run).await {
        pass.fail(failure);
        return 0;
    }
    let (sink, keep) = recorder(context, store, &run.id);
    let (id, now) = (run.id.as_str(), context.now);
    let release = format!("{}-{}", run.started_at.strftime("%Y%m%dT%H%M%SZ"), &id[id.len() - 4..]);
    let claim = context.claim(pace.wait);
    let work = async {
        let (parallel, stop, sink) = (pace.parallel, pace.stop, sink);
        let execution =
            Execution { store, run: id, release: &release, sink: &sink, claim: &claim, now, parallel, stop };
        super::execute(plan, sessions, &execution).await
    };
    let (report, kept) = tokio::join!(work, keep);
    let outcome = if report.failures.is_empty() { Outcome::Changed } else { Outcome::Failed };
    let ended = store.end(id, outcome, now()).await;
    if let Err(failure) = kept.and(ended) {
        pass.fail(failure);
    }
    pass.failures.extend(report.failures);
    report.applied
}

/// Returns a receiver of events that also records those of steps in a run, and the work of writing them, which ends
/// after the receiver is gone.
fn recorder<'a>(
    context: &Context,
    store: &'a Store,
    run: &'a str,
) -> (Sink, impl Future<Output = Result<(), Failure>> + use<'a>) {
    let (send, mut said) = tokio::sync::mpsc::unbounded_channel();
    let (told, now) = (context.sink.clone(), context.now);
    let sink: Sink = Arc::new(move |event| {
        if matches!(event, Event::Step(_) | Event::Failure(_)) {
            // A run continues even if its history cannot be recorded.
            let _ = send.send((now(), event::line(&event)));
        }
        told(event);
    });
    let keep = async move {
        while let Some((at, line)) = said.recv().await {
            store.log(run, at, &line).await?;
        }
        Ok(())
    };
    (sink, keep)
}

/// Executes work that a user asked for by name, and prints the state of its environment after it. Returns true if the
/// work was done.
pub(super) async fn by_hand(
    context: &Context,
    pass: &mut Pass,
    sessions: &Sessions,
    (name, work): (&str, Work),
    pace: &Pace<'_>,
) -> bool {
    let plan = Plan::new(vec![Step::by_hand(name, work)], &BTreeMap::new());
    let done = execute(context, pass, sessions, &plan, pace).await > 0;
    if let Some(session) = sessions.get(name) {
        let session = session.lock().await;
        let record = status::record(&session, (context.now)(), session.failed.clone());
        let environment = &session.prepared.environment;
        let view = status::view(environment, Some(&record), Vec::new(), Vec::new(), None);
        context.say(Event::Environment(Box::new(view)));
    }
    done
}
