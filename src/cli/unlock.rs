//! `deployer unlock`: takes the lease away from a run that cannot be waited for. Never needed where that run
//! died: its lease expires by itself.

use super::look;
use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending};
use crate::event::{Event, Outcome};
use crate::failure::{Failure, Reason};
use std::time::Duration;

/// Take the lease away from another run; what that run still begins on the host is refused
///
/// Seldom needed: a run that died lets go within a minute by itself.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    unlock(context, args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn unlock(context: &Context, args: Args) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(&[args.environment], false)?;
    let prepared = pass.prepare(environments, true).await;
    let (sessions, _) = pass.observe(context, prepared, &look::request()).await;
    let mut outcome = Outcome::Converged;
    for (name, session) in &sessions {
        let mut session = session.lock().await;
        let Some(held) = session.facts.access.lease.clone() else {
            context.say(Event::Note(format!("Nobody works on {name}")));
            continue;
        };
        let question = format!("{name} is worked on by {}. Take it away?", held.whose());
        if !args.yes && !context.confirm(&question) {
            let message = format!("It is worked on by {}, and taking it away was not confirmed", held.whose());
            let failure = Failure::new(Reason::ConsentMissing, message).hint("Pass --yes");
            pass.fail(failure.on(name));
            continue;
        }
        let floor = pass.token(name).await.max(held.token);
        match session.seize(&context.claim(Duration::ZERO), floor, &held).await {
            Ok(()) => {
                outcome = Outcome::Changed;
                context.say(Event::Note(format!("{name} is free; the other run is refused from now on")));
            }
            Err(failure) => pass.fail(failure.on(name)),
        }
    }
    Ok(pass.close(sessions, outcome).await)
}
