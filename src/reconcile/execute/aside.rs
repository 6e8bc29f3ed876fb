//! A step that runs in parallel to the main lane of its environment. All data that the step needs is copied first, so
//! that the session stays free for the main lane. The step uses the session only after a failed command or a lost
//! connection, and then waits for the main lane.

use super::change;
use crate::io::ssh::Output;
use crate::manifest::environment::Environment;
use crate::model::event::{Event, Sink};
use crate::model::failure::Failure;
use crate::model::state::Kind;
use crate::reconcile::session::{Attempt, Session, TRIES, Verdict};
use crate::resource::contract::record::DigestKey;
use crate::resource::{self, Command, HostFacts, Lane, Observation, Subject};
use tokio::sync::Mutex;

/// The step with its copied data.
pub(super) struct Aside {
    kind: Kind,
    environment: Environment,
    retry: bool,
    fallback_key: DigestKey,
    commands: Vec<(Command, Attempt)>,
    sink: Sink,
}

impl Aside {
    /// Plans the commands that bring one kind to its desired facts.
    pub fn of(kind: Kind, session: &Session, release: &str) -> Result<Self, Failure> {
        let commands = if session.seen().matches(kind) { Vec::new() } else { change::due(kind, session, release)? };
        let last = commands.len().saturating_sub(1);
        let attempts = commands.into_iter().enumerate().map(|(place, command)| {
            let attempt = session.attempt(Lane::Aside, &command, place == last)?;
            Ok((command, attempt))
        });
        Ok(Self {
            kind,
            environment: session.prepared.environment.clone(),
            retry: session.prepared.retry,
            fallback_key: session.prepared.fallback_key.clone(),
            commands: attempts.collect::<Result<_, Failure>>()?,
            sink: session.sink.clone(),
        })
    }

    /// Runs the step. Returns the facts observed after it, and true if the step changed something.
    pub async fn carry_out(self, session: &Mutex<Session>) -> (Option<HostFacts>, Result<bool, Failure>) {
        if self.commands.is_empty() {
            return (None, Ok(false));
        }
        match self.run_all_and_look(session).await {
            Ok(seen) => {
                let seen = Observation::of(&self.subject(), seen);
                let converged = seen.matches(self.kind);
                let result = if converged { Ok(true) } else { Err(change::not_converged(self.kind, &seen)) };
                (Some(seen.into_facts()), result)
            }
            Err(failure) => (None, Err(failure)),
        }
    }

    /// Runs the commands. The last command also observes the host.
    async fn run_all_and_look(&self, session: &Mutex<Session>) -> Result<HostFacts, Failure> {
        let mut seen = None;
        for (command, attempt) in &self.commands {
            (self.sink)(Event::Progress {
                environment: self.environment.name.to_string(),
                kind: Some(self.kind),
                activity: command.title.clone(),
            });
            let output = run(command, attempt, session).await?;
            seen = resource::parse(&self.subject().marks(), &output.stdout).ok();
        }
        if let Some(seen) = seen {
            return Ok(seen);
        }
        // The connection broke, or the observation was cut short.
        let mut session = session.lock().await;
        session.observe().await?;
        Ok(session.facts().clone())
    }

    fn subject(&self) -> Subject<'_> {
        let Self { environment, retry, fallback_key, .. } = self;
        Subject { environment, release: None, retry: *retry, take_over: false, new_volumes: &[], fallback_key }
    }
}

/// Runs one command to its end. Locks the session, which the main lane may hold, only if the command fails.
async fn run(command: &Command, first: &Attempt, session: &Mutex<Session>) -> Result<Output, Failure> {
    let (mut tries, mut another) = (TRIES, None);
    loop {
        let attempt = another.as_ref().unwrap_or(first);
        let ended = attempt.run().await;
        if ended.as_ref().is_ok_and(|output| output.status == 0) {
            return ended;
        }
        tries -= 1;
        let mut session = session.lock().await;
        match session.judge(command, attempt, ended).await? {
            Verdict::Done(output) => return Ok(output),
            Verdict::Again(broken) if tries == 0 => return Err(broken),
            Verdict::Again(_) => another = Some(session.attempt(Lane::Aside, command, true)?),
        }
    }
}
