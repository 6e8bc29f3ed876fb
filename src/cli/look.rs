//! The shared parts of commands that only look, and `status`, `list` and `test`. Changes no host.

use super::pass::{Keep, Pass};
use super::{Context, Ending, consent};
use crate::manifest::environment::{Environment, Name};
use crate::model::event::{CheckView, Event, Health, Outcome, PlanView, PlannedStep, VerdictView};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Kind, Stage};
use crate::model::verdict::Judgement;
use crate::plan::Plan;
use crate::reconcile::execute::Sessions;
use crate::reconcile::prepare::{self, Prepared, Resolve};
use crate::reconcile::propose::{Goal, Outside, Request, Trust};
use crate::reconcile::stack;
use crate::reconcile::status;
use crate::resource::compose::check;
use crate::resource::compose::container;
use crate::resource::services;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Returns the settings for an observation that changes nothing.
#[must_use]
pub fn request() -> Request {
    Request {
        goal: Goal::Reach(Stage::Running),
        parallel: 10,
        patient: false,
        resume: false,
        destructive: true,
        outside: Outside::LeftAlone,
        trust: Trust::default(),
    }
}

/// Plans from the records to the manifest. Copies each environment only for its turn, and drops it and its record once
/// its steps are known: there may be ten thousand environments.
pub async fn recorded_view(context: &Context, pass: &mut Pass, names: &[String]) -> Result<PlanView, Vec<Failure>> {
    let manifest = Arc::clone(&pass.manifest);
    let chosen: Vec<Name> = pass.choose(names, true)?.into_iter().cloned().collect();
    let (mut steps, mut depends_on, mut converged) = (Vec::<PlannedStep>::new(), BTreeMap::new(), Vec::new());
    let (mut uncompared, mut oldest) = (BTreeMap::new(), None);
    for environment in chosen.iter().filter_map(|name| manifest.environments.get(name)) {
        for one in pass.prepare(vec![environment.clone()], Resolve::Literals).await {
            let record = pass.records.remove(one.name());
            let own = prepare::recorded_steps(&one, record.as_ref(), one.environment.stage);
            let files = prepare::unrecorded(&one, record.as_ref());
            if !files.is_empty() {
                uncompared.insert(one.name().to_owned(), files);
            } else if own.is_empty() {
                converged.push(one.name().to_owned());
            }
            oldest = oldest.into_iter().chain(record.map(|record| record.observed_at)).min();
            steps.extend(own);
            let needs = one.environment.depends_on.iter().map(ToString::to_string).collect();
            depends_on.insert(one.name().to_owned(), needs);
        }
    }
    let mut view = pass.named(Plan::new(steps, &depends_on).into_view(converged));
    view.uncompared = uncompared;
    let age = oldest.map(|at| (context.now)().duration_since(at).as_secs());
    view.observed_seconds_ago = age.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(view)
}

/// Prints the status of each environment. With `judged`, an unhealthy or unreachable environment is a failure.
pub async fn status(context: &Context, names: &[String], offline: bool, judged: bool) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(names, false)?;
    if offline {
        list(context, &pass, &environments);
        return end(pass, Sessions::new(), Outcome::Ok).await;
    }
    let prepared = pass.prepare(environments, Resolve::Available).await;
    let request = Request { outside: Outside::Asked, ..request() };
    let (sessions, failed) = pass.observe(context, prepared, &request).await;
    consent::warn_uncompared(context, &sessions).await;
    let mut views = BTreeMap::new();
    for (name, session) in &sessions {
        let session = session.lock().await;
        let environment = &session.prepared.environment;
        let record = pass.records.get(name);
        let suspended = record.is_some_and(|record| record.suspended);
        let stage = if suspended { Stage::Destroyed } else { environment.stage };
        let (steps, left) = session.prepared.steps_and_rest(&session.facts, stage);
        let drifted = Prepared::differing(&steps, &left);
        views.insert(name.clone(), status::view(environment, record, drifted, left, None));
    }
    for (prepared, failure) in &failed {
        let record = pass.records.get(prepared.name());
        let why = Some(failure.message.clone());
        views.insert(
            prepared.name().to_owned(),
            status::view(&prepared.environment, record, Vec::new(), Vec::new(), why),
        );
    }
    let well =
        views.values().all(|view| view.unreachable.is_none() && matches!(view.health, Health::Healthy | Health::None));
    for view in views.into_values() {
        context.say(Event::Environment(Box::new(view)));
    }
    if !judged {
        // An unreachable host is part of the answer, not a failure of the command.
        pass.failures.retain(|failure| failure.reason.exit() != 7);
    } else if !well && pass.failures.is_empty() {
        pass.fail(Failure::new(Reason::Unhealthy, "Not every environment is healthy").hint("See the table above"));
    }
    end(pass, sessions, Outcome::Ok).await
}

/// Prints the recorded status of each environment.
pub fn list(context: &Context, pass: &Pass, environments: &[Environment]) {
    for environment in environments {
        let record = pass.records.get(environment.name.as_str());
        context.say(Event::Environment(Box::new(status::view(environment, record, Vec::new(), Vec::new(), None))));
    }
}

/// Prints each service and each declared check.
pub async fn test(context: &Context, names: &[String]) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(names, false)?;
    let prepared = pass.prepare(environments, Resolve::Connection).await;
    let (sessions, _) = pass.observe(context, prepared, &request()).await;
    for (name, session) in &sessions {
        let session = session.lock().await;
        let subject = session.prepared.subject();
        let observed = crate::resource::observed(&subject, &session.facts);
        let facts = observed.0.get(&Kind::Services).cloned().unwrap_or_default();
        let services = services::records(&subject, &session.facts).into_keys().map(|service| {
            let found = facts.get(&service).cloned().unwrap_or_else(|| "missing".to_owned());
            (format!("service {service}"), container::good(&found), found)
        });
        let checks = session.prepared.environment.checks.iter().map(|one| {
            let found = session.facts.services.checks.get(&one.name).cloned();
            let found = found.unwrap_or_else(|| "was not checked".to_owned());
            (one.name.clone(), found == check::PASSES, found)
        });
        let verdicts = stack::examine(&session, context.now).await;
        // The verdicts on a stack already cover its containers.
        let views: Vec<_> = services.filter(|_| verdicts.is_none()).chain(checks).collect();
        for verdict in verdicts.iter().flatten() {
            let (check, detail) = (&verdict.name, &verdict.detail);
            if verdict.judgement == Judgement::Failed {
                pass.failures.push(Failure::new(Reason::CheckFailed, format!("{check}: {detail}")).on(name));
            }
            context.say(Event::Verdict(VerdictView::new(name, verdict.clone())));
        }
        if views.is_empty() && verdicts.is_none() {
            pass.fail(Failure::new(Reason::CheckFailed, "No service is running and no check is declared").on(name));
        }
        for (check, passed, found) in views {
            context.say(Event::Check(CheckView {
                environment: name.clone(),
                check: check.clone(),
                passed,
                found: found.clone(),
            }));
            if !passed {
                pass.failures.push(Failure::new(Reason::CheckFailed, format!("{check}: {found}")).on(name));
            }
        }
    }
    end(pass, sessions, Outcome::Ok).await
}

async fn end(pass: Pass, sessions: Sessions, outcome: Outcome) -> Result<Ending, Vec<Failure>> {
    Ok(pass.close(sessions, outcome).await)
}
