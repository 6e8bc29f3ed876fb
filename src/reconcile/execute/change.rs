//! One step's change of a host: the commands, and the look at the host that tells whether they did it.

use super::{Execution, release};
use crate::model::diff;
use crate::model::event::{Action, PlannedStep};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Facts, Kind, State};
use crate::reconcile::execute::reachable;
use crate::reconcile::machine;
use crate::reconcile::session::Session;
use crate::resource::{self, Command, HostFacts, Subject, remove};

/// Brings one kind to its desired facts; true where something was changed.
pub(super) async fn change(
    planned: &PlannedStep,
    session: &mut Session,
    context: &Execution<'_>,
) -> Result<bool, Failure> {
    if planned.kind == Kind::Infrastructure {
        return Box::pin(machine::carry_out(session)).await.map(|()| true);
    }
    if planned.action == Action::Remove && planned.destructive {
        let subject = session.prepared.subject();
        let commands = remove::commands(planned.kind, &subject, &session.facts, context.purge);
        run_all(session, &commands).await?;
        if planned.kind == Kind::Firewall {
            reachable::firewall(session).await?;
        }
        session.observe().await?;
        return Ok(true);
    }
    let kind = planned.kind;
    let (observed, desired) = facts(session, kind);
    if let Some(target) = session.target.take() {
        return release::go_back(session, &target, context).await.map(|()| true);
    }
    if observed == desired {
        return Ok(false);
    }
    let commands = due(kind, session, context.release)?;
    if kind == Kind::Firewall {
        run_all(session, &commands).await?;
        reachable::firewall(session).await?;
        session.observe().await?;
    } else {
        let ran = run_all_and_observe(session, &commands).await;
        if kind == Kind::Services {
            return release::settle(session, ran, context).await.map(|()| true);
        }
        ran?;
    }
    let (observed, desired) = facts(session, kind);
    if observed == desired { Ok(true) } else { Err(apart(session, kind, &observed, &desired).await) }
}

/// What brings one kind to its desired facts, which differ.
///
/// # Errors
/// What is known to fail before anything is changed.
pub(super) fn due(kind: Kind, session: &Session, release: &str) -> Result<Vec<Command>, Failure> {
    let subject = session.prepared.subject();
    // Whose host it is was decided with the plan: `--take-over` may have said so.
    let refused = resource::preflight(kind, &subject, &session.facts).filter(|_| kind != Kind::Access);
    refused.map_or_else(|| resource::commands(kind, &subject, &session.facts, release), Err)
}

/// Why a host differs from what its step was to bring about: one that goes down lets parts of a look fail first.
pub(super) async fn apart(session: &Session, kind: Kind, observed: &Facts, desired: &Facts) -> Failure {
    if session.gone().await {
        return Failure::new(Reason::ConnectionLost, format!("The connection broke after the {kind} step"));
    }
    not_converged(kind, observed, desired)
}

/// One kind as it was seen, and as it is to be.
pub(super) fn facts(session: &Session, kind: Kind) -> (Facts, Facts) {
    of(kind, &session.prepared.subject(), &session.facts)
}

/// The same, of an environment that is not a session's.
pub(super) fn of(kind: Kind, subject: &Subject<'_>, facts: &HostFacts) -> (Facts, Facts) {
    let of = |state: State| state.0.get(&kind).cloned().unwrap_or_default();
    (of(resource::observed(subject, facts)), of(resource::desired(subject, facts)))
}

pub(super) fn not_converged(kind: Kind, observed: &Facts, desired: &Facts) -> Failure {
    let differing: Vec<String> = diff::changes(observed, desired)
        .into_iter()
        .map(|change| {
            let word = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
            format!("{} is {} instead of {}", change.fact, word(change.from), word(change.to))
        })
        .collect();
    Failure::new(Reason::NotConverged, format!("The {kind} step ran, yet {}", differing.join(", ")))
}

pub(super) async fn run_all(session: &mut Session, commands: &[Command]) -> Result<(), Failure> {
    for command in commands {
        session.progress(command.title.clone());
        session.run(command).await?;
    }
    Ok(())
}

/// The same, and a look at the host after the last of them.
pub(super) async fn run_all_and_observe(session: &mut Session, commands: &[Command]) -> Result<(), Failure> {
    let Some((last, before)) = commands.split_last() else { return session.observe().await };
    run_all(session, before).await?;
    session.progress(last.title.clone());
    session.run_and_observe(last).await
}
