//! The steps before a change: warns of what is left alone, shows the plan, asks for consent. The absence of a terminal
//! is not consent to destroying.

use crate::model::event::{Event, PlanView, Why};
use crate::model::failure::Failure;
use crate::model::state::Stage;
use crate::reconcile::annotate;
use crate::reconcile::context::Context;
use crate::reconcile::pass::Pass;
use crate::reconcile::prepare::Prepared;
use crate::reconcile::propose::{self, Proposal};
use crate::reconcile::session::Sessions;
use crate::reconcile::signals::refused;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

/// Warns of environments that are left alone or pinned to a release, and of drift that is not corrected.
pub fn say_left(context: &Context, proposal: &Proposal) {
    for name in &proposal.suspended {
        let message = format!("is suspended and was skipped. To resume it: deployer resume {name}");
        context.say(Event::Warning { environment: Some(name.clone()), message });
    }
    for (name, rejected) in &proposal.pinned {
        let message =
            format!("is not changed until its application changes or apply --retry is given: {}", rejected.message);
        context.say(Event::Warning { environment: Some(name.clone()), message });
    }
    for left in proposal.left.iter().filter(|left| left.why == Why::Detect) {
        let facts = left.changes.iter().map(|change| change.fact.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("has drift that is not corrected, because drift.policy is detect: {} {facts}", left.kind);
        context.say(Event::Warning { environment: Some(left.environment.clone()), message });
    }
}

/// Returns the environment and its warning if its application names another Compose project.
#[must_use]
pub fn other_project(prepared: &Prepared) -> Option<(String, String)> {
    Some((prepared.name().to_owned(), prepared.release.as_ref()?.other_project.clone()?))
}

/// Warns of applications that name another Compose project. Prints one warning: the environments of a manifest mostly
/// share an application.
pub fn warn_other_projects(context: &Context, mut others: impl Iterator<Item = (String, String)>) {
    let Some((environment, message)) = others.next() else { return };
    let message = match others.count() {
        0 => message,
        more => format!("{message}. The same applies to {more} more environments"),
    };
    context.say(Event::Warning { environment: Some(environment), message });
}

/// Warns of applications that could not be read, for commands that continue without them.
pub fn warn_unread(context: &Context, all: &[Prepared], so: &str) {
    for prepared in all {
        let Some(first) = prepared.mistakes.first() else { continue };
        let place =
            first.location.as_ref().map_or(String::new(), |at| format!("{}:{}:{}: ", at.file, at.line, at.column));
        let more = match prepared.mistakes.len() {
            1 => String::new(),
            several => format!(", and {} more mistakes", several - 1),
        };
        let message = format!("has an application that cannot be read, so {so}: {place}{}{more}", first.message());
        context.say(Event::Warning { environment: Some(prepared.name().to_owned()), message });
    }
}

/// Warns of images that could not be compared with their registry, for commands that continue without that.
pub async fn warn_uncompared(context: &Context, sessions: &Sessions) {
    for (name, failure) in propose::uncompared(sessions).await {
        let why = failure.details.unwrap_or_default().replace('\n', "; ");
        let message = format!("has images that could not be compared with their registry: {why}");
        context.say(Event::Warning { environment: Some(name), message });
    }
}

/// Prints the plan with its diffs. Returns the environments that the plan destroys.
pub async fn show(
    context: &Context,
    pass: &Pass,
    sessions: &Sessions,
    proposal: &Proposal,
) -> Result<BTreeSet<String>, Failure> {
    let view = view(context, pass, sessions, proposal).await?;
    let doomed = view.steps.iter().filter(|step| step.destructive).map(|step| step.environment.clone()).collect();
    context.say(Event::Plan(view));
    Ok(doomed)
}

/// Builds the view of the plan, with its diffs and without secrets: it is also saved.
pub async fn view(
    context: &Context,
    pass: &Pass,
    sessions: &Sessions,
    proposal: &Proposal,
) -> Result<PlanView, Failure> {
    let mut view = pass.named(proposal.plan.view(proposal.converged.clone()));
    view.left.clone_from(&proposal.left);
    view.unchanged.clone_from(&proposal.unchanged);
    for step in view.steps.iter_mut().filter(|step| !step.destructive) {
        if let Some(session) = sessions.get(&step.environment) {
            annotate::annotate(&*session.lock().await, step).await?;
        }
    }
    Ok(without_secrets(context, view))
}

/// Returns a plan without the secrets that this run knows.
pub fn without_secrets(context: &Context, plan: PlanView) -> PlanView {
    match context.front.without_secrets(Event::Plan(plan)) {
        Event::Plan(plan) => plan,
        _ => PlanView::default(),
    }
}

/// Returns true if there is something to do and the user agrees. With `yes`, asks nothing; the environments in
/// `allowed` may be destroyed.
pub async fn agree(
    context: &Context,
    sessions: &Sessions,
    proposal: &Proposal,
    doomed: &BTreeSet<String>,
    (yes, allowed): (bool, &[String]),
    stop: &AtomicBool,
) -> Result<bool, Failure> {
    if proposal.plan.is_empty() {
        return Ok(false);
    }
    consent(context, sessions, doomed, allowed, stop).await?;
    let ask = doomed.is_empty() && !yes && context.front.can_ask();
    if ask && !context.confirm("Apply this plan?").await {
        return Err(refused("The plan was not confirmed".to_owned(), stop).hint("Nothing was changed"));
    }
    Ok(true)
}

/// Requires consent for each environment that is destroyed: as its stage in the manifest, as an option, or typed.
async fn consent(
    context: &Context,
    sessions: &Sessions,
    doomed: &BTreeSet<String>,
    allowed: &[String],
    stop: &AtomicBool,
) -> Result<(), Failure> {
    for name in doomed {
        let declared = match sessions.get(name) {
            Some(session) => {
                let environment = &session.lock().await.prepared.environment;
                environment.stage == Stage::Destroyed && !environment.orphaned
            }
            None => false,
        };
        let consented = declared || allowed.contains(name);
        if !consented && !context.typed(format!("Type {name} to destroy it:"), name).await {
            let failure = refused(format!("{name} was not destroyed: consent is missing"), stop);
            return Err(failure.hint(format!("Pass --allow-destroy {name}")).on(name));
        }
    }
    Ok(())
}
