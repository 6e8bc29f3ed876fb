//! Views for a front: the plan, the status, the checks, one environment of the manifest. Changes no host.

use crate::manifest;
use crate::manifest::environment::{Environment, Name};
use crate::model::ending::Ending;
use crate::model::event::{CheckView, Event, Health, Outcome, PlanView, PlannedStep, VerdictView};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Kind, Stage};
use crate::model::verdict::Judgement;
use crate::plan::Plan;
use crate::reconcile::consent;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass};
use crate::reconcile::prepare::{self, Prepared, Resolve};
use crate::reconcile::propose::propose;
use crate::reconcile::request::{Outside, Request};
use crate::reconcile::saved;
use crate::reconcile::session::Sessions;
use crate::reconcile::stack;
use crate::reconcile::status;
use crate::resource;
use crate::resource::compose::check;
use crate::resource::compose::container;
use crate::resource::services;
use crate::resource::services::Fact;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Plans from the records to the manifest. Copies each environment only for its turn, and drops it and its record once
/// its steps are known: there may be ten thousand environments.
async fn recorded_view(context: &Context, pass: &mut Pass, names: &[String]) -> Result<PlanView, Vec<Failure>> {
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

/// A dry run.
#[derive(Clone, Debug)]
pub struct Dry {
    /// The named environments, with those that they depend on; empty means all.
    pub environments: Vec<String>,
    /// True if the records are compared instead of the hosts.
    pub offline: bool,
    /// The file that the plan is saved to.
    pub out: Option<Utf8PathBuf>,
}

/// Plans what `apply` would do, and prints the plan. Changes nothing on a host.
pub async fn plan(context: &Context, args: &Dry) -> Result<Ending, Vec<Failure>> {
    // A link with the file's own name is replaced, not written through.
    if let Some(directory) = args.out.as_deref().and_then(Utf8Path::parent) {
        context.admit_output(directory).map_err(|failure| vec![failure])?;
    }
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    if args.offline {
        let view = recorded_view(context, &mut pass, &args.environments).await?;
        let outcome = view.outcome();
        if let Some(message) = never_observed(&view, &pass) {
            context.say(Event::Warning { environment: None, message });
        }
        context.say(Event::Plan(view));
        return Ok(pass.close(Sessions::new(), outcome).await);
    }
    let environments = pass.select(&args.environments, true)?;
    let prepared = pass.prepare(environments, Resolve::Everything).await;
    consent::warn_other_projects(context, prepared.iter().filter_map(consent::other_project));
    let named = !args.environments.is_empty();
    let request = Request { resume: named, outside: Outside::Asked, ..Request::look() };
    let (sessions, failed) = pass.observe(context, prepared, &request).await;
    let unreachable: Vec<String> = failed.iter().map(|(prepared, _)| prepared.name().to_owned()).collect();
    if args.out.is_some() {
        pass.derive_keys(&sessions).await;
    }
    let proposal = propose(&sessions, &unreachable, &request).await;
    proposal.refused.iter().for_each(|failure| pass.fail(failure.clone()));
    consent::say_left(context, &proposal);
    consent::warn_uncompared(context, &sessions).await;
    match consent::view(context, &pass, &sessions, &proposal).await {
        Ok(view) => {
            context.say(Event::Plan(view.clone()));
            // A plan that leaves something out must not be applied.
            if let Some(path) = args.out.as_ref().filter(|_| pass.failures.is_empty()) {
                let saved = saved::write(context, path, named, &sessions, view).await;
                saved.unwrap_or_else(|failure| pass.fail(failure));
            }
        }
        Err(failure) => pass.fail(failure),
    }
    let outcome = if proposal.plan.is_empty() { Outcome::Converged } else { Outcome::Planned };
    Ok(pass.close(sessions, outcome).await)
}

/// Returns a warning if environments of a plan have no record to compare with.
fn never_observed(view: &PlanView, pass: &Pass) -> Option<String> {
    let planned: BTreeSet<&str> = view.steps.iter().map(|step| step.environment.as_str()).collect();
    let mut unseen = planned.into_iter().filter(|name| !pass.records.contains_key(*name));
    let first = unseen.next()?;
    let more = unseen.count();
    let names = if more == 0 { first.to_owned() } else { format!("{first} and {more} more") };
    Some(format!("Never observed: {names}. Run deployer plan without --offline to compare with the host"))
}

/// Returns the plan from the records to the manifest, and the end of that look. Contacts no host.
pub async fn recorded(context: &Context, names: &[String]) -> Result<(PlanView, Ending), Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let view = recorded_view(context, &mut pass, names).await?;
    Ok((view, pass.close(Sessions::new(), Outcome::Ok).await))
}

/// Prints one environment of the manifest, merged with its defaults.
pub async fn describe(context: &Context, name: &str) -> Result<Ending, Vec<Failure>> {
    let pass = Pass::open(context, Keep::Never).await?;
    for environment in pass.select(&[name.to_owned()], false)? {
        let text = serde_saphyr::to_string(&manifest::describe(&environment)).map_err(|error| {
            vec![Failure::new(
                Reason::CommandFailed,
                format!("{} cannot be written as YAML: {error}", environment.name),
            )]
        })?;
        context.say(Event::Output(text));
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}

/// Prints the script that observes the host of an environment. Does not run the script.
pub async fn probe(context: &Context, name: &str) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Never).await?;
    let environments = pass.select(&[name.to_owned()], false)?;
    for prepared in pass.prepare(environments, Resolve::Literals).await {
        context.say(Event::Output(resource::probe(&prepared.subject())));
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}

/// Prints the status of each environment. An unreachable host is a failure; with `judged`, an unhealthy environment is
/// one too.
pub async fn status(context: &Context, names: &[String], offline: bool, judged: bool) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(names, false)?;
    if offline {
        list(context, &pass, &environments);
        return end(pass, Sessions::new(), Outcome::Ok).await;
    }
    let prepared = pass.prepare(environments, Resolve::Available).await;
    consent::warn_unread(context, &prepared, "drift of its release is not known");
    let request = Request { outside: Outside::Asked, ..Request::look() };
    let (sessions, failed) = pass.observe(context, prepared, &request).await;
    consent::warn_uncompared(context, &sessions).await;
    let mut views = BTreeMap::new();
    for (name, session) in &sessions {
        let session = session.lock().await;
        let environment = &session.prepared.environment;
        let record = pass.records.get(name);
        let suspended = record.is_some_and(|record| record.suspended);
        let stage = if suspended { Stage::Destroyed } else { environment.stage };
        let (steps, left) = session.prepared.steps_and_rest(session.seen(), stage);
        let mut drifted = Prepared::differing(&steps, &left);
        if !session.prepared.mistakes.is_empty() {
            drifted.retain(|kind| !kind.is_of_release());
        }
        views.insert(name.clone(), status::view(environment, record, drifted, left, None));
    }
    for (prepared, failure) in &failed {
        let record = pass.records.get(prepared.name());
        let why = Some(failure.message());
        let mut view = status::view(&prepared.environment, record, Vec::new(), Vec::new(), why);
        // OpenTofu may know a newer address than the record.
        if !prepared.reach.address.is_empty() {
            view.address.clone_from(&prepared.reach.address);
        }
        views.insert(prepared.name().to_owned(), view);
    }
    let well =
        views.values().all(|view| view.unreachable.is_none() && matches!(view.health, Health::Healthy | Health::None));
    for view in views.into_values() {
        context.say(Event::Environment(Box::new(view)));
    }
    if judged && !well && pass.failures.is_empty() {
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
    let sessions = pass.look(context, names).await?;
    for (name, session) in &sessions {
        let session = session.lock().await;
        let subject = session.prepared.subject();
        let (facts, _) = session.seen().both(Kind::Services);
        let services = services::records::of(&subject, session.facts()).into_keys().map(|service| {
            let found =
                facts.get(&Fact::Service(&service).to_string()).cloned().unwrap_or_else(|| "missing".to_owned());
            (format!("service {service}"), container::good(&found), found)
        });
        let checks = session.prepared.environment.checks.iter().map(|one| {
            let found = session.facts().check(&one.name).cloned();
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
