//! `deployer restart`: restarts the services, and waits until they are healthy. Changes neither files nor images.

use crate::io::store::Run;
use crate::model::ending::Ending;
use crate::model::event::{Event, FailedView, Outcome, StepState, StepView};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::Kind;
use crate::reconcile::context::Context;
use crate::reconcile::look;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::prepare::Resolve;
use crate::reconcile::remote::service::unknown;
use crate::reconcile::session::Session;
use crate::reconcile::status;
use crate::resource::contract::guard;
use crate::resource::services::Fact;
use crate::resource::{self, Command, services};
use std::time::{Duration, Instant};

/// A restart of one service of an environment, or of all.
#[derive(Clone, Debug)]
pub struct Restart {
    /// The environment.
    pub environment: String,
    /// The service; `None` means all.
    pub service: Option<String>,
    /// The time to wait for another run that works on the same environment.
    pub wait: Duration,
}

/// Restarts. Failures are already printed.
pub async fn run(context: &Context, args: &Restart) -> Ending {
    Box::pin(restart(context, args)).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn restart(context: &Context, args: &Restart) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Always).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    let prepared = pass.prepare(environments, Resolve::Connection).await;
    let (sessions, _) = pass.observe(context, prepared, &look::request()).await;
    for (name, session) in &sessions {
        let mut session = session.lock().await;
        let started = Instant::now();
        let begun = match command(&session, args.service.as_deref()) {
            Ok(command) => {
                begin(context, &pass, &mut session, args.wait).await.map(|(run, intent)| (command, run, intent))
            }
            Err(failure) => Err(failure),
        };
        let (command, run, intent) = match begun {
            Ok(begun) => begun,
            Err(failure) => {
                pass.fail(failure.on(name));
                continue;
            }
        };
        say(context, name, StepState::Started, None);
        let done = carry_out(&mut session, &command, args.service.as_deref()).await;
        let done = done.map_err(|failure| failure.on(name));
        let state = if done.is_ok() { StepState::Applied } else { StepState::Failed };
        record(context, &mut pass, &session, (&run, intent), done.as_ref().err()).await;
        say(context, name, state, Some(started.elapsed()));
        if let Err(failure) = done {
            pass.fail(failure);
        }
    }
    Ok(pass.close(sessions, Outcome::Changed).await)
}

/// Records and prints the state of an environment after work on its services, and ends the run in the journal.
pub(super) async fn record(
    context: &Context,
    pass: &mut Pass,
    session: &Session,
    (run, intent): (&str, Option<i64>),
    failure: Option<&Failure>,
) {
    let name = session.prepared.name();
    let failed = failure.map(|failure| FailedView {
        kind: Some(Kind::Services),
        reason: failure.reason.code().to_owned(),
        message: failure.message(),
        at: (context.now)(),
        run: run.to_owned(),
    });
    let record = status::record(session, (context.now)(), failed);
    let view = status::view(&session.prepared.environment, Some(&record), Vec::new(), Vec::new(), None);
    pass.save(name, record).await;
    if let Err(failure) = settle(context, pass, run, intent, failure.is_none()).await {
        pass.fail(failure);
    }
    context.say(Event::Environment(Box::new(view)));
}

pub(super) fn say(context: &Context, name: &str, state: StepState, took: Option<Duration>) {
    let duration_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    context.say(Event::Step(StepView { environment: name.to_owned(), kind: Kind::Services, state, duration_ms }));
}

/// Takes the lease and writes the journal entry, before anything changes. Returns the ids of the run and of the step.
pub(super) async fn begin(
    context: &Context,
    pass: &Pass,
    session: &mut Session,
    wait: Duration,
) -> Result<(String, Option<i64>), Failure> {
    let name = session.prepared.name().to_owned();
    let claim = context.claim(wait);
    session.own(&claim, pass.token(&name).await).await?;
    let run = Run {
        id: uuid::Uuid::now_v7().to_string(),
        command: context.command.to_owned(),
        project: pass.manifest.project.to_string(),
        started_at: (context.now)(),
        by: context.by.clone(),
    };
    let Some(store) = &pass.store else { return Ok((run.id, None)) };
    store.begin(&run).await?;
    if let Some(lease) = &session.lease {
        store.take(&run.project, &name, lease.key.token, &claim.holder, (context.now)()).await?;
    }
    let intent = store.intend(&run.id, &name, Kind::Services, (context.now)()).await?;
    Ok((run.id, Some(intent)))
}

async fn settle(context: &Context, pass: &Pass, run: &str, intent: Option<i64>, well: bool) -> Result<(), Failure> {
    let (Some(store), Some(intent)) = (&pass.store, intent) else { return Ok(()) };
    let state = if well { StepState::Applied } else { StepState::Failed };
    store.settle(intent, state.name(), (context.now)()).await?;
    store.end(run, if well { Outcome::Changed } else { Outcome::Failed }, (context.now)()).await
}

fn command(session: &Session, service: Option<&str>) -> Result<Command, Failure> {
    let subject = session.prepared.subject();
    if let Some(refused) = resource::preflight(Kind::Access, &subject, session.facts()) {
        return Err(refused);
    }
    let services = services::records::of(&subject, session.facts());
    if session.facts().files.begun().next().is_none() || services.is_empty() {
        return Err(Failure::new(Reason::CommandFailed, "No services are running")
            .hint(format!("Run deployer apply {} first", session.prepared.name())));
    }
    if let Some(service) = service.filter(|service| !services.contains_key(*service)) {
        let names: Vec<String> = services.keys().cloned().collect();
        return Err(unknown(service, &names));
    }
    // A restart makes Docker resolve mounted paths again.
    let live = session.facts().files.begun().next().cloned().unwrap_or_default();
    let run = format!(
        "cd /\n{} restart {} >&2 </dev/null || code=$?\n",
        resource::files::by_name(&live.project),
        service.map_or_else(String::new, quote)
    );
    let functions = [guard::FUNCTIONS, services::start::FUNCTIONS].concat();
    let script = functions + &services::start::guarded(&live, session.facts(), &run) + "exit $code\n";
    Ok(Command {
        title: service.map_or_else(|| "restart the services".to_owned(), |service| format!("restart {service}")),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: session.prepared.environment.health.timeout + resource::SHORT,
        reason: Reason::ServicesFailed,
    })
}

/// Restarts, and observes until the restarted services are healthy again.
async fn carry_out(session: &mut Session, command: &Command, service: Option<&str>) -> Result<(), Failure> {
    session.progress(command.title.clone());
    session.run(command).await?;
    well(session, service).await
}

/// Observes until all services, or the given one, are healthy.
pub(super) async fn well(session: &mut Session, service: Option<&str>) -> Result<(), Failure> {
    let (started, limit) = (Instant::now(), session.prepared.environment.health.timeout);
    let mut pause = Duration::from_millis(200);
    loop {
        session.observe().await?;
        let unwell = unwell(session, service);
        if unwell.is_empty() {
            return Ok(());
        }
        if started.elapsed() >= limit || services::hopeless(&session.prepared.subject(), session.facts()) {
            let message = format!("Not healthy after {} s: {}", started.elapsed().as_secs(), unwell.join(", "));
            return Err(Failure::new(Reason::Unhealthy, message).details(session.last_words().await));
        }
        session.progress(format!("wait: {}", unwell.join(", ")));
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_secs(2));
    }
}

/// Returns the services that are not healthy; also the failed checks if all services were restarted.
fn unwell(session: &Session, service: Option<&str>) -> Vec<String> {
    let (facts, _) = session.seen().both(Kind::Services);
    let concerned = |name: &str| match service {
        Some(service) => Fact::of(name).service() == Some(service),
        None => Fact::of(name) != Fact::Release,
    };
    let bad = facts.iter().filter(|(name, state)| concerned(name) && !services::is_well(name, state));
    bad.map(|(name, state)| services::phrase(name, state)).collect()
}
