//! A step beside the main lane of its environment: all that it needs is copied first, so that both go on at once.
//! Looks after itself but where its connection broke: then it waits for the main lane.

use super::change;
use crate::command::{Attempt, TRIES, Verdict};
use crate::event::{Event, Sink};
use crate::failure::Failure;
use crate::host::Output;
use crate::manifest::environment::Environment;
use crate::observe::Session;
use crate::state::Kind;
use crate::step::record::DigestKey;
use crate::step::{self, Command, HostFacts, Lane, Subject};
use tokio::sync::Mutex;

/// What is to be done.
pub(super) struct Aside {
    kind: Kind,
    environment: Environment,
    retry: bool,
    fallback_key: DigestKey,
    commands: Vec<(Command, Attempt)>,
    sink: Sink,
}

impl Aside {
    /// What brings one kind to its desired facts.
    pub fn of(kind: Kind, session: &Session, release: &str) -> Result<Self, Failure> {
        let subject = session.prepared.subject();
        let (observed, desired) = change::of(kind, &subject, &session.facts);
        let mut commands = Vec::new();
        if observed != desired {
            if let Some(refused) = step::preflight(kind, &subject, &session.facts) {
                return Err(refused);
            }
            commands = step::commands(kind, &subject, &session.facts, release)?;
        }
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

    /// Does it: what was seen after it, and whether something was changed.
    pub async fn carry_out(self, session: &Mutex<Session>) -> (Option<HostFacts>, Result<bool, Failure>) {
        let mut seen = None;
        for (command, attempt) in &self.commands {
            (self.sink)(Event::Progress {
                environment: self.environment.name.to_string(),
                kind: Some(self.kind),
                activity: command.title.clone(),
            });
            match run(command, attempt, session).await {
                Ok(output) => seen = step::parse(&output.stdout).ok(),
                Err(failure) => return (None, Err(failure)),
            }
        }
        if self.commands.is_empty() {
            return (None, Ok(false));
        }
        // The connection broke, or the look was cut short.
        if seen.is_none() {
            let mut session = session.lock().await;
            match session.observe().await {
                Ok(()) => seen = Some((*session.facts).clone()),
                Err(failure) => return (None, Err(failure)),
            }
        }
        let subject = Subject {
            environment: &self.environment,
            release: None,
            retry: self.retry,
            fallback_key: &self.fallback_key,
        };
        let Some(facts) = &seen else { return (None, Ok(true)) };
        let (observed, desired) = change::of(self.kind, &subject, facts);
        let differs = (observed != desired).then(|| change::not_converged(self.kind, &observed, &desired));
        (seen, differs.map_or(Ok(true), Err))
    }
}

/// One command to its end. Only where it fails is the session asked, which the main lane may have.
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
