//! One reconcile pass: prepare, observe, diff, plan, execute. `plan`, `apply` and the lifecycle commands run this pass
//! up to different points. Prints nothing and does not read the command line.

use crate::model::event::{Action, Change, Left, PlannedStep, Stays, StepReason, Unchanged, Why};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Kind, Stage};
use crate::plan::Plan;
use crate::reconcile::execute::{Step, Work};
use crate::reconcile::request::{Goal, Request};
use crate::reconcile::session::{Session, Sessions};
use crate::resource::contract::record::{Rejected, Rejection, ReleaseRecord};
use crate::resource::{self, remove};
use std::collections::{BTreeMap, BTreeSet};

/// The steps of a pass in order, and the failures that are known before anything changes.
#[derive(Default)]
pub struct Proposal {
    /// The ordered steps.
    pub plan: Plan<Step>,
    /// Environments that were compared and match the manifest.
    pub converged: Vec<String>,
    /// Environments without steps that were not compared with the manifest, or do not match it.
    pub unchanged: Vec<Unchanged>,
    /// Environments that are left out because they are suspended.
    pub suspended: Vec<String>,
    /// Environments that stay at the release that somebody rolled them back to, each with the rejection of the newer
    /// release.
    pub pinned: Vec<(String, Rejected)>,
    /// Failures that are known in advance. The environment of such a failure has no step in the plan.
    pub refused: Vec<Failure>,
    /// Drift that is not corrected.
    pub left: Vec<Left>,
    /// Environments that are left out because a step would destroy something and the request does not allow that.
    pub spared: Vec<String>,
}

/// Diffs each session against its manifest. `unreachable` lists the environments that could not be observed.
pub async fn propose(sessions: &Sessions, unreachable: &[String], request: &Request) -> Proposal {
    let mut proposal = Proposal::default();
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    let mut depends_on: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, session) in sessions {
        let session = session.lock().await;
        let environment = &session.prepared.environment;
        let suspended = session.facts().access.marker.as_ref().is_some_and(|marker| marker.suspended);
        if suspended && !request.resume && matches!(request.goal, Goal::Reach(_)) {
            proposal.suspended.push(name.clone());
            continue;
        }
        if let Some(failure) = &session.locked {
            proposal.refused.push(failure.clone());
            continue;
        }
        let (own, left) = match own(&session, request).await {
            Ok(own) => own,
            Err(failure) => {
                proposal.refused.push(failure.on(name));
                continue;
            }
        };
        if !request.destructive && own.iter().any(|step| step.shown.destructive) {
            proposal.spared.push(name.clone());
            continue;
        }
        let held = hold(&session, request, &mut proposal);
        if request.goal.stage(environment).is_none() && !own.is_empty() && protected(&session) {
            let failure = Failure::new(Reason::Protected, format!("{name} is protected and was not destroyed"));
            proposal.refused.push(failure.on(name));
            continue;
        }
        if let Some(failure) = guarded(&session, &own) {
            proposal.refused.push(failure.on(name));
            continue;
        }
        let as_wanted = left.iter().all(|left| left.why == Why::Ignored);
        proposal.left.extend(left);
        let torn_down = own.is_empty() && request.goal.stage(environment).is_none();
        depends_on.insert(name.clone(), environment.depends_on.iter().map(ToString::to_string).collect());
        // The check also runs if there is nothing to do: a directory of another owner may hold the same files.
        if let Some(failure) = foreseen(&session, &own, request).filter(|_| !torn_down) {
            proposal.refused.push(failure.on(name));
        } else if !own.is_empty() {
            steps.insert(name.clone(), own);
        } else if held != Some(Rejection::Health) {
            match stays(&session, request, held) {
                Some(why) => proposal.unchanged.push(unchanged(&session, why)),
                None => proposal.converged.extend(as_wanted.then(|| name.clone())),
            }
        }
    }
    if matches!(request.goal, Goal::Reach(_)) {
        block(&mut proposal, &mut steps, &depends_on, unreachable);
    }
    proposal.plan = Plan::new(steps.into_values().flatten().collect(), &depends_on);
    proposal
}

/// Returns the steps of one environment, and the drift that they do not correct.
async fn own(session: &Session, request: &Request) -> Result<(Vec<Step>, Vec<Left>), Failure> {
    let of_differences = |steps: Vec<PlannedStep>| steps.into_iter().map(|step| Step::of_difference(step, session));
    Ok(match request.goal.stage(&session.prepared.environment) {
        Some(_) if request.goal == Goal::RollBack => {
            let target = session.choose(request.release.as_deref()).await?;
            (target.map(|target| way_back(session, target)).into_iter().collect(), Vec::new())
        }
        // A plan needs the release that the manifest wants.
        Some(_) if let Some(mistake) = session.prepared.mistakes.first() => return Err(mistake.clone()),
        Some(stage) => {
            let (steps, left) = session.prepared.steps_and_rest(session.seen(), stage);
            (of_differences(steps).collect(), left)
        }
        // A machine that deployer made is deleted as a whole.
        None if session.prepared.environment.provision.is_some() => {
            let all = session.prepared.steps(session.seen(), Stage::Provisioned);
            (of_differences(all).filter(|step| step.shown.kind == Kind::Infrastructure).collect(), Vec::new())
        }
        None => (removal(session, request.goal == Goal::Destroy { purge: true }), Vec::new()),
    })
}

fn protected(session: &Session) -> bool {
    resource::contract::marker::protected(&session.prepared.subject(), session.facts())
}

/// Refuses steps that the provider would refuse halfway: its `delete_protection` keeps the machine and the volume.
fn guarded(session: &Session, steps: &[Step]) -> Option<Failure> {
    let goes = |step: &Step| step.shown.kind == Kind::Infrastructure && step.shown.destructive;
    let kept = session.prepared.environment.provision.as_ref()?.machine.kept_by_provider()?;
    (session.facts().outside.machine.exists && steps.iter().any(goes)).then(|| {
        let back = if session.prepared.environment.orphaned { "Put the entry back. " } else { "" };
        Failure::new(Reason::Protected, format!("{kept}: delete_protection is on"))
            .hint(format!("{back}First apply the entry with delete_protection: false"))
    })
}

/// Reports the release that is held back, and returns the cause. The live release stays as it is.
fn hold(session: &Session, request: &Request, proposal: &mut Proposal) -> Option<Rejection> {
    let held = || resource::release_identity::held(&session.prepared.subject(), session.facts());
    let rejected = matches!(request.goal, Goal::Reach(_)).then(held).flatten()?;
    let name = session.prepared.name();
    match rejected.by {
        Rejection::Hand => proposal.pinned.push((name.to_owned(), rejected.clone())),
        Rejection::Health => {
            let message = format!("Release {} is not tried again: {}", rejected.release, rejected.message);
            proposal.refused.push(Failure::new(Reason::ReleaseRejected, message).on(name));
        }
    }
    Some(rejected.by)
}

/// Returns why an environment without steps is not known to match the manifest, or `None` if it matches.
fn stays(session: &Session, request: &Request, held: Option<Rejection>) -> Option<Stays> {
    match request.goal {
        Goal::Destroy { .. } => {
            let (environment, facts) = (&session.prepared.environment, session.facts());
            let kept = |kind: &Kind| remove::present(*kind, environment, facts, true);
            let kept = environment.provision.is_none() && remove::ORDER.iter().any(kept);
            Some(if kept { Stays::DataKept } else { Stays::Absent })
        }
        Goal::RollBack => Some(Stays::AlreadyLive),
        Goal::Reach(_) if held == Some(Rejection::Hand) => Some(Stays::RolledBack),
        Goal::Reach(_) => {
            let unknown = resource::images::registry::uncompared(&session.prepared.subject(), session.facts());
            unknown.map(|_| Stays::ImagesUnknown)
        }
    }
}

fn unchanged(session: &Session, why: Stays) -> Unchanged {
    let live = session.facts().files.begun().next().map(|live| live.id.clone());
    let release = live.filter(|_| matches!(why, Stays::RolledBack | Stays::AlreadyLive));
    Unchanged { environment: session.prepared.name().to_owned(), why, release }
}

/// Returns the step back to a release.
fn way_back(session: &Session, target: ReleaseRecord) -> Step {
    let shown = PlannedStep {
        environment: session.prepared.name().to_owned(),
        kind: Kind::Services,
        action: Action::Update,
        reason: StepReason::Rollback,
        destructive: false,
        changes: vec![Change {
            fact: resource::services::Fact::Release.to_string(),
            from: session.facts().files.begun().next().map(|live| live.id.clone()),
            to: Some(target.id.clone()),
            diff: None,
            note: None,
        }],
    };
    Step { shown, work: Work::GoBack(Box::new(target)) }
}

/// Refuses the environments that depend on an environment that will not become healthy in this pass.
fn block(
    proposal: &mut Proposal,
    steps: &mut BTreeMap<String, Vec<Step>>,
    depends_on: &BTreeMap<String, Vec<String>>,
    unreachable: &[String],
) {
    loop {
        let refused = proposal.refused.iter().filter_map(|failure| failure.environment.as_ref());
        let lost: BTreeSet<&String> =
            refused.chain(unreachable).chain(&proposal.suspended).chain(&proposal.spared).collect();
        let blocked = steps.keys().find_map(|name| {
            let need = depends_on.get(name)?.iter().find(|need| lost.contains(need))?;
            Some((name.clone(), need.clone()))
        });
        let Some((name, need)) = blocked else { break };
        steps.remove(&name);
        let failure = Failure::new(Reason::DependencyFailed, format!("{name} depends on {need}, which is not healthy"));
        proposal.refused.push(failure.on(name));
    }
}

/// Returns the environments with images that could not be compared with their registry, each with its failure.
pub async fn uncompared(sessions: &Sessions) -> BTreeMap<String, Failure> {
    let mut found = BTreeMap::new();
    for (name, session) in sessions {
        let session = session.lock().await;
        let failure = resource::images::registry::uncompared(&session.prepared.subject(), session.facts());
        found.extend(failure.map(|failure| (name.clone(), failure.on(name))));
    }
    found
}

/// Returns the failure that is known before anything changes: a directory of another owner, a full disk, no way to
/// install.
fn foreseen(session: &Session, steps: &[Step], request: &Request) -> Option<Failure> {
    // Nothing is known about a machine that does not exist yet.
    session.connection.as_ref()?;
    let subject = session.prepared.subject();
    let (environment, facts) = (&session.prepared.environment, session.facts());
    let access = match request.goal {
        _ if request.goal.stage(environment).is_none() => {
            let kept = |refused: Failure| {
                refused.hint(format!("To keep the data on the host: deployer destroy {}", environment.name))
            };
            let purge = request.goal == Goal::Destroy { purge: true };
            let of_data = || resource::access::purge_preflight(&subject, facts).filter(|_| purge).map(kept);
            resource::access::removal_preflight(&subject, facts).or_else(of_data)
        }
        _ => resource::access::preflight(&subject, facts).filter(|_| !request.take_over),
    };
    access.or_else(|| {
        let shown = steps.iter().map(|step| &step.shown);
        let kinds = shown.filter(|step| !step.destructive && step.kind != Kind::Access).map(|step| step.kind);
        kinds.into_iter().find_map(|kind| resource::preflight(kind, &subject, session.facts()))
    })
}

/// Returns the steps that remove an environment from its host.
fn removal(session: &Session, purge: bool) -> Vec<Step> {
    let (environment, facts) = (&session.prepared.environment, session.facts());
    let present = |kind: &Kind| remove::present(*kind, environment, facts, purge);
    let shown = |kind| PlannedStep {
        environment: session.prepared.name().to_owned(),
        kind,
        action: Action::Remove,
        reason: StepReason::Destroyed,
        destructive: true,
        changes: remove::changes(kind, environment, facts, purge),
    };
    let step = |kind| Step { shown: shown(kind), work: Work::Remove { purge } };
    remove::ORDER.into_iter().filter(present).map(step).collect()
}
