//! Suspends environments and resumes them: `apply` and `watch` leave a suspended environment alone. Applies nothing.

use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::Failure;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::session::Session;
use crate::reconcile::status;
use crate::resource::access;
use std::time::Duration;

/// Marks environments on their hosts as suspended or not suspended. Failures are already printed.
pub async fn run(context: &Context, names: &[String], suspended: bool) -> Ending {
    mark(context, names, suspended).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn mark(context: &Context, names: &[String], suspended: bool) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Always).await?;
    let sessions = pass.look(context, names).await?;
    let mut outcome = Outcome::Converged;
    for (name, session) in &sessions {
        let mut session = session.lock().await;
        let was = session.facts().access.marker.as_ref().map(|marker| marker.suspended);
        let already = match (was, suspended) {
            (None, true) => Some("is not deployed, so there is nothing to suspend"),
            (Some(true), true) => Some("is already suspended"),
            (None | Some(false), false) => Some("is not suspended"),
            _ => None,
        };
        if let Some(already) = already {
            context.say(Event::Note(format!("{name} {already}")));
            continue;
        }
        let floor = pass.token(name).await;
        match write(context, &mut session, floor, suspended).await {
            Ok(()) => {
                let record = status::record(&session, (context.now)(), None);
                pass.save(name, record).await;
                outcome = Outcome::Changed;
                context.say(Event::Note(if suspended {
                    format!("Suspended {name}. apply and watch skip it until you run deployer resume {name}")
                } else {
                    format!("Resumed {name}. Next: deployer apply {name}")
                }));
            }
            Err(failure) => pass.fail(failure.on(name)),
        }
    }
    Ok(pass.close(sessions, outcome).await)
}

async fn write(context: &Context, session: &mut Session, floor: u64, suspended: bool) -> Result<(), Failure> {
    if session.connection.is_none() {
        // There is no host that could store the mark: the record stores it.
        session.learn(|facts| facts.access.marker.iter_mut().for_each(|marker| marker.suspended = suspended));
        return Ok(());
    }
    session.own(&context.claim(Duration::ZERO), floor).await?;
    let command = access::mark(&session.prepared.subject(), session.facts(), suspended);
    session.run(&command).await?;
    session.observe().await
}
