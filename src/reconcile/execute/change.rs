//! The change that one step makes on a host: its commands, and the observation that verifies them.

use crate::model::diff;
use crate::model::failure::{Failure, Reason};
use crate::model::state::Kind;
use crate::reconcile::execute::reachable;
use crate::reconcile::session::Session;
use crate::resource::{self, Command, Observation, remove};

/// Removes one kind from its host.
pub(super) async fn remove(kind: Kind, session: &mut Session, purge: bool) -> Result<(), Failure> {
    let commands = remove::commands(kind, &session.prepared.subject(), session.facts(), purge);
    run_all(session, &commands).await?;
    if kind == Kind::Firewall {
        reachable::firewall(session).await?;
    }
    session.observe().await
}

/// Brings one kind to its desired facts. Returns true if something was changed.
pub(super) async fn converge(kind: Kind, session: &mut Session, release: &str) -> Result<bool, Failure> {
    if session.seen().matches(kind) {
        return Ok(false);
    }
    let commands = due(kind, session, release)?;
    if kind == Kind::Firewall {
        run_all(session, &commands).await?;
        reachable::firewall(session).await?;
        session.observe().await?;
    } else {
        run_all_and_observe(session, &commands).await?;
    }
    if session.seen().matches(kind) { Ok(true) } else { Err(apart(session, kind).await) }
}

/// Returns the commands that bring one kind to its desired facts. The facts must differ.
///
/// # Errors
/// The failure that is known before anything changes.
pub(super) fn due(kind: Kind, session: &Session, release: &str) -> Result<Vec<Command>, Failure> {
    let subject = session.prepared.subject();
    // The owner of the directory was checked with the plan: `--take-over` may have allowed another owner.
    let refused = resource::preflight(kind, &subject, session.facts()).filter(|_| kind != Kind::Access);
    refused.map_or_else(|| resource::commands(kind, &subject, session.facts(), release), Err)
}

/// Returns the reason why a host differs from the desired facts after its step. A host that shuts down may fail parts
/// of an observation before the connection breaks.
pub(super) async fn apart(session: &Session, kind: Kind) -> Failure {
    if session.gone().await {
        return Failure::new(Reason::ConnectionLost, format!("The connection broke after the {kind} step"));
    }
    not_converged(kind, session.seen())
}

pub(super) fn not_converged(kind: Kind, seen: &Observation) -> Failure {
    let (observed, desired) = seen.both(kind);
    let differing: Vec<String> = diff::changes(observed, desired)
        .into_iter()
        .map(|change| {
            let word = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
            format!("{} is {} instead of {}", change.fact, word(change.from), word(change.to))
        })
        .collect();
    Failure::new(Reason::NotConverged, format!("The {kind} step ran, but {}", differing.join(", ")))
}

pub(super) async fn run_all(session: &mut Session, commands: &[Command]) -> Result<(), Failure> {
    for command in commands {
        session.progress(command.title.clone());
        session.run(command).await?;
    }
    Ok(())
}

/// Runs the commands, and observes the host after the last of them.
pub(super) async fn run_all_and_observe(session: &mut Session, commands: &[Command]) -> Result<(), Failure> {
    let Some((last, before)) = commands.split_last() else { return session.observe().await };
    run_all(session, before).await?;
    session.progress(last.title.clone());
    session.run_and_observe(last).await
}
