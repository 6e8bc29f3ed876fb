//! `deployer restart`: restarts the services, and waits until they are healthy. Changes neither files nor images.

use super::Work;
use super::change::run_all_and_observe;
use super::journal::{self, Pace};
use super::release::well;
use crate::model::ending::Ending;
use crate::model::event::Outcome;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::Kind;
use crate::reconcile::connect::no_release;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::remote::service::unknown;
use crate::reconcile::session::Session;
use crate::reconcile::signals::{self, Stop};
use crate::resource::contract::guard;
use crate::resource::services::Fact;
use crate::resource::{self, Command, services};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

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
    let work = async |stop: Arc<Stop>| {
        Box::pin(restart(context, args, &stop)).await.unwrap_or_else(|failures| refuse(context, &failures))
    };
    signals::interruptible(context, work).await
}

async fn restart(context: &Context, args: &Restart, stop: &Stop) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Always).await?;
    let sessions = pass.look(context, slice::from_ref(&args.environment)).await?;
    let pace = Pace { parallel: 1, wait: args.wait, stop: &stop.flag };
    for (name, session) in &sessions {
        let known = command(&*session.lock().await, args.service.as_deref());
        if let Err(failure) = known {
            pass.fail(failure.on(name));
            continue;
        }
        let work = Work::Restart(args.service.clone());
        journal::by_hand(context, &mut pass, &sessions, (name, work), &pace).await;
    }
    Ok(pass.close(sessions, Outcome::Changed).await)
}

/// Restarts, and observes until the restarted services are healthy again.
pub(super) async fn carry_out(session: &mut Session, service: Option<&str>) -> Result<(), Failure> {
    let command = command(session, service)?;
    let ran = run_all_and_observe(session, &[command]).await;
    well(session, ran, &|session| unwell(session, service)).await
}

fn command(session: &Session, service: Option<&str>) -> Result<Command, Failure> {
    let subject = session.prepared.subject();
    let access = resource::preflight(Kind::Access, &subject, session.facts());
    if let Some(refused) = access.or_else(|| services::restart_preflight(&subject, session.facts())) {
        return Err(refused);
    }
    let Some(live) = session.facts().files.begun().next().cloned() else {
        return Err(no_release(session.prepared.name()));
    };
    let services = services::records::of(&subject, session.facts());
    if services.is_empty() {
        return Err(Failure::new(Reason::CommandFailed, "No services are running")
            .hint(format!("Run deployer apply {} first", session.prepared.name())));
    }
    if let Some(service) = service.filter(|service| !services.contains_key(*service)) {
        let names: Vec<String> = services.keys().cloned().collect();
        return Err(unknown(service, &names));
    }
    // A restart makes Docker resolve mounted paths again.
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

/// Returns the services that are not healthy; also the failed checks if all services were restarted.
pub(super) fn unwell(session: &Session, service: Option<&str>) -> Vec<String> {
    let (facts, _) = session.seen().both(Kind::Services);
    let concerned = |name: &str| service.is_none_or(|service| Fact::of(name).service() == Some(service));
    let bad = services::unwell(facts).filter(|(name, _)| concerned(name));
    bad.map(|(name, state)| services::phrase(name, state)).collect()
}
