//! `deployer resume`: ends a suspension. Never applies anything by itself.

use super::look;
use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending};
use crate::event::{Event, Outcome};
use crate::failure::Failure;
use crate::standing;
use crate::step::access;
use std::time::Duration;

/// Take up suspended environments again
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    resume(context, &args.environments).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn resume(context: &Context, names: &[String]) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Always).await?;
    let environments = pass.select(names, false)?;
    let prepared = pass.prepare(environments, true).await;
    let (sessions, _) = pass.observe(context, prepared, &look::request()).await;
    let mut resumed = 0;
    for (name, session) in &sessions {
        let mut session = session.lock().await;
        if !session.facts.access.marker.as_ref().is_some_and(|marker| marker.suspended) {
            context.say(Event::Note(format!("{name} is not suspended")));
            continue;
        }
        let command = access::mark(&session.prepared.subject(), false);
        let floor = pass.token(name).await;
        let done = match session.own(&context.claim(Duration::ZERO), floor).await {
            Ok(()) => session.run(&command).await,
            Err(failure) => Err(failure),
        };
        let done = match done {
            Ok(_) => session.observe().await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(()) => {
                let record = standing::record(&session, (context.now)(), None);
                pass.save(name, record).await;
                resumed += 1;
                context.say(Event::Note(format!("{name} is resumed; deployer apply brings it to its stage")));
            }
            Err(failure) => pass.fail(failure.on(name)),
        }
    }
    let outcome = if resumed == 0 { Outcome::Converged } else { Outcome::Changed };
    Ok(pass.close(sessions, outcome).await)
}
