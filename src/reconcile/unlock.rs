//! `deployer unlock`: takes the lease, or the lock on the infrastructure's state, away from a run that cannot be waited
//! for. Not needed if that run died on this machine: a new run takes over both by itself.

use crate::io::opentofu::Lock;
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::prepare::Resolve;
use crate::reconcile::request::Request;
use crate::reconcile::session::Session;
use std::time::Duration;

/// Environment to unlock, and the consent.
#[derive(Clone, Debug)]
pub struct Unlock {
    /// The environment.
    pub environment: String,
    /// True if nothing is asked.
    pub yes: bool,
    /// True if the lock on OpenTofu's state is taken even from a run that lives on this machine.
    pub force: bool,
}

/// Unlocks the environment. Failures are already printed.
pub async fn run(context: &Context, args: &Unlock) -> Ending {
    unlock(context, args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn unlock(context: &Context, args: &Unlock) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let name = &args.environment;
    let known = pass.knows(name);
    let freed = state(context, &pass, args).await;
    let mut outcome = if matches!(freed, Ok(Some(()))) { Outcome::Changed } else { Outcome::Converged };
    let nobody = matches!(freed, Ok(None));
    if let Err(failure) = freed {
        pass.fail(failure.on(name));
    }
    // An entry that left the manifest may have left a lock, and no host to ask.
    let environments = if known || nobody { pass.select(std::slice::from_ref(name), false)? } else { Vec::new() };
    let prepared = pass.prepare(environments, Resolve::Connection).await;
    let (sessions, _) = pass.observe(context, prepared, &Request::look()).await;
    for (name, session) in &sessions {
        let mut session = session.lock().await;
        let Some(held) = session.facts().access.lease.clone() else {
            let floor = pass.token(name).await;
            match clear(context, &mut session, floor).await {
                Ok(true) => outcome = Outcome::Changed,
                Ok(false) if nobody => context.say(Event::Note(format!("{name} is not locked"))),
                Ok(false) => {}
                Err(failure) => pass.fail(failure.on(name)),
            }
            continue;
        };
        let asked = consent(context, args, &format!("{name} is locked by {}", held.whose())).await;
        if let Err(failure) = asked {
            pass.fail(failure.on(name));
            continue;
        }
        let floor = pass.token(name).await;
        match session.seize(&context.claim(Duration::ZERO), floor, &held).await {
            Ok(()) => {
                outcome = Outcome::Changed;
                context
                    .say(Event::Note(format!("Unlocked {name}. The host refuses further commands of the other run")));
                // A command of a run that is alive may end by itself.
                if held.is_silent()
                    && let Err(failure) = clear(context, &mut session, floor).await
                {
                    pass.fail(failure.on(name));
                }
            }
            Err(failure) => pass.fail(failure.on(name)),
        }
    }
    Ok(pass.close(sessions, outcome).await)
}

/// Ends the commands that a dead run left running on the host, under a new lease. Returns false if there were none.
async fn clear(context: &Context, session: &mut Session, floor: u64) -> Result<bool, Failure> {
    if session.facts().access.marker.is_none() {
        return Ok(false);
    }
    session.own(&context.claim(Duration::ZERO), floor).await?;
    let ended = session.end_left().await?;
    if ended {
        let name = session.prepared.name();
        context.say(Event::Note(format!(
            "Stopped the commands that an earlier run had left running before a switch of {name}"
        )));
    }
    Ok(ended)
}

/// Frees the lock on the infrastructure's state. Returns `None` if the state is not locked.
async fn state(context: &Context, pass: &Pass, args: &Unlock) -> Result<Option<()>, Failure> {
    let (project, name) = (pass.manifest.project.as_str(), args.environment.as_str());
    let environment = pass.manifest.environments.get(name);
    let provision = environment.and_then(|environment| environment.provision.as_ref());
    if let (Some(environment), Some((backend, _))) = (environment, provision.and_then(|it| it.backend.as_ref())) {
        let place = pass.place_of_tofu(environment).await?;
        context.say(Event::Note(format!(
            "OpenTofu's backend `{backend}` holds the lock on the state of {name}. If no other run is active, remove \
             the lock in {place} with the id that OpenTofu shows: tofu force-unlock ID"
        )));
    }
    let Some(store) = &pass.store else { return Ok(None) };
    let Some(line) = store.state_lock(project, name).await? else { return Ok(None) };
    let lock = Lock::parse(&line);
    let whose = lock.as_ref().map_or_else(|| "another run".to_owned(), |lock| format!("another run: {}", lock.whose()));
    if lock.is_some_and(|lock| lock.holder.lives_here()) && !args.force {
        let message = format!("The infrastructure's state is locked by {whose}, which still runs on this machine");
        let hint = "Wait for it, or end that process. To take the lock anyway, pass --force";
        return Err(Failure::new(Reason::StateLocked, message).hint(hint));
    }
    consent(context, args, &format!("The infrastructure's state of {name} is locked by {whose}")).await?;
    if !store.unlock_state(project, name, &line).await? {
        let message = "The lock on the infrastructure's state was released or taken by another run in the meantime";
        return Err(Failure::new(Reason::StateLocked, message));
    }
    context.say(Event::Note(format!(
        "Unlocked the infrastructure's state of {name}. Further writes of the other run are refused"
    )));
    Ok(Some(()))
}

/// Asks for consent to take away a lease or a lock.
async fn consent(context: &Context, args: &Unlock, held: &str) -> Result<(), Failure> {
    if args.yes || context.confirm(&format!("{held}. Remove the lock?")).await {
        return Ok(());
    }
    let message = format!("{held}. Removing the lock was not confirmed");
    Err(Failure::new(Reason::ConsentMissing, message).hint("Pass --yes"))
}
