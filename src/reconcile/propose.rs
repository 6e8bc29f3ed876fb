//! One pass: prepare, observe, diff, plan, execute. `plan`, `apply` and the lifecycle commands are this
//! function cut at different lengths. Never prints, never reads the command line.

use crate::manifest::environment::Environment;
use crate::model::event::{Action, Change, Left, PlannedStep, Why};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Kind, Stage};
use crate::plan::Plan;
use crate::reconcile::execute::Sessions;
use crate::reconcile::session::Session;
use crate::resource::contract::record::{Rejected, Rejection, ReleaseRecord};
use crate::resource::{self, remove};
use std::collections::{BTreeMap, BTreeSet};

/// Where a pass leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To each environment's own stage, and no further than this one.
    Reach(Stage),
    /// Back to the release that each session names as its target.
    RollBack,
    /// Everything of ours comes off the hosts.
    Destroy {
        /// And its data.
        purge: bool,
    },
}

/// What is taken on trust.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust {
    /// An unknown host key is recorded rather than refused.
    pub new_host_keys: bool,
    /// A directory marked as someone else's is taken.
    pub foreign_directories: bool,
}

/// Whether others than the hosts are asked: registries about images that follow them, providers about machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// About each thing once.
    Asked,
    /// What they have is of no use here: a machine is where it was last.
    LeftAlone,
}

/// How a pass treats the environments it is given.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Where it leads.
    pub goal: Goal,
    /// How many hosts are worked on at once.
    pub parallel: usize,
    /// Whether refused and silent hosts are tried again for as long as `ssh.wait` says.
    pub patient: bool,
    /// Whether suspended environments are worked on (they were named).
    pub resume: bool,
    /// Whether what cannot be brought back may be planned at all.
    pub destructive: bool,
    /// Whether others than the hosts are asked.
    pub outside: Outside,
    /// What is taken on trust.
    pub trust: Trust,
}

impl Goal {
    /// The stage this pass brings an environment to; `None` where it is taken off its host.
    #[must_use]
    pub fn stage(self, environment: &Environment) -> Option<Stage> {
        match self {
            Self::Reach(limit) if environment.stage != Stage::Destroyed => Some(environment.stage.min(limit)),
            Self::RollBack => Some(environment.stage),
            Self::Reach(_) | Self::Destroy { .. } => None,
        }
    }
}

/// What is to be done, in order, and what is known to fail before anything is changed.
#[derive(Default)]
pub struct Proposal {
    /// The plan.
    pub plan: Plan,
    /// Environments of it that are already as wanted.
    pub converged: Vec<String>,
    /// Environments left out since they are suspended.
    pub suspended: Vec<String>,
    /// Environments that stay at the release somebody rolled them back to, with that rejection.
    pub pinned: Vec<(String, Rejected)>,
    /// What is known to fail; its environment has no step in the plan.
    pub refused: Vec<Failure>,
    /// Drift that is left as it is.
    pub left: Vec<Left>,
    /// Environments left out since something of theirs would be destroyed, and that was not asked for.
    pub spared: Vec<String>,
}

/// Diffs every session against its manifest. `unreachable` are environments that could not be observed.
pub async fn propose(sessions: &Sessions, unreachable: &[String], request: &Request) -> Proposal {
    let mut proposal = Proposal::default();
    let mut steps: BTreeMap<String, Vec<PlannedStep>> = BTreeMap::new();
    let mut depends_on: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, session) in sessions {
        let session = session.lock().await;
        let environment = &session.prepared.environment;
        let suspended = session.facts.access.marker.as_ref().is_some_and(|marker| marker.suspended);
        if suspended && !request.resume && matches!(request.goal, Goal::Reach(_)) {
            proposal.suspended.push(name.clone());
            continue;
        }
        let (own, left) = match request.goal.stage(environment) {
            Some(_) if request.goal == Goal::RollBack => (way_back(&session), Vec::new()),
            Some(stage) => session.prepared.steps_and_rest(&session.facts, stage),
            None => (removal(&session), Vec::new()),
        };
        if !request.destructive && own.iter().any(|step| step.destructive) {
            proposal.spared.push(name.clone());
            continue;
        }
        if matches!(request.goal, Goal::Reach(_)) {
            hold(&session, &mut proposal);
        }
        if request.goal.stage(environment).is_none() && !own.is_empty() && protected(&session) {
            let failure = Failure::new(Reason::Protected, "It is protected and not destroyed");
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
        // Also where nothing is to do: another's directory may hold the same files as ours.
        if let Some(failure) = foreseen(&session, &own, request).filter(|_| !torn_down) {
            proposal.refused.push(failure.on(name));
        } else if own.is_empty() {
            proposal.converged.extend(as_wanted.then(|| name.clone()));
        } else {
            steps.insert(name.clone(), own);
        }
    }
    if matches!(request.goal, Goal::Reach(_)) {
        block(&mut proposal, &mut steps, &depends_on, unreachable);
    }
    proposal.plan = Plan::new(steps.into_values().flatten().collect(), &depends_on);
    proposal
}

fn protected(session: &Session) -> bool {
    resource::access::protected(&session.prepared.subject(), &session.facts)
}

/// Refuses what the provider would refuse in the middle: it keeps the machine and its volume from being deleted.
fn guarded(session: &Session, steps: &[PlannedStep]) -> Option<Failure> {
    let goes = |step: &PlannedStep| step.kind == Kind::Infrastructure && step.destructive;
    let kept = session.prepared.environment.provision.as_ref()?.machine.kept_by_provider()?;
    (session.facts.infrastructure.exists && steps.iter().any(goes)).then(|| {
        let back = if session.prepared.environment.orphaned { "Put the entry back. " } else { "" };
        Failure::new(Reason::Protected, format!("{kept}: delete_protection is on"))
            .hint(format!("{back}Lift it first, by an apply of the entry with delete_protection: false"))
    })
}

/// Says which release is held back. What is live is kept as it is all the same.
fn hold(session: &Session, proposal: &mut Proposal) {
    let Some(rejected) = resource::files::held(&session.prepared.subject(), &session.facts) else { return };
    let name = session.prepared.name();
    match rejected.by {
        Rejection::Hand => proposal.pinned.push((name.to_owned(), rejected.clone())),
        Rejection::Health => {
            let message = format!("Release {} is not tried again: {}", rejected.release, rejected.message);
            proposal.refused.push(Failure::new(Reason::ReleaseRejected, message).on(name));
        }
    }
}

/// The step back to the release that the session names.
fn way_back(session: &Session) -> Vec<PlannedStep> {
    let step = |target: &ReleaseRecord| PlannedStep {
        environment: session.prepared.name().to_owned(),
        kind: Kind::Services,
        action: Action::Update,
        reason: "rollback".to_owned(),
        destructive: false,
        changes: vec![Change {
            fact: resource::services::RELEASE.to_owned(),
            from: session.facts.files.begun().next().map(|live| live.id.clone()),
            to: Some(target.id.clone()),
            diff: None,
            note: None,
        }],
    };
    session.target.as_ref().map(step).into_iter().collect()
}

/// Refuses what depends on an environment that will not become healthy in this pass.
fn block(
    proposal: &mut Proposal,
    steps: &mut BTreeMap<String, Vec<PlannedStep>>,
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

/// Environments with images that could not be compared with their registry, each with the failure that says so.
pub async fn uncompared(sessions: &Sessions) -> BTreeMap<String, Failure> {
    let mut found = BTreeMap::new();
    for (name, session) in sessions {
        let session = session.lock().await;
        let failure = resource::images::registry::uncompared(&session.prepared.subject(), &session.facts);
        found.extend(failure.map(|failure| (name.clone(), failure.on(name))));
    }
    found
}

/// What is known to fail before anything is changed: another's directory, no room, no way to install.
fn foreseen(session: &Session, steps: &[PlannedStep], request: &Request) -> Option<Failure> {
    // Of a machine that is to come nothing is known.
    session.connection.as_ref()?;
    let subject = session.prepared.subject();
    let (environment, facts) = (&session.prepared.environment, &session.facts);
    let access = match request.goal {
        _ if request.goal.stage(environment).is_none() => {
            let kept = |refused: Failure| {
                refused.hint(format!("Keep the data on the host with: deployer destroy {}", environment.name))
            };
            let purge = request.goal == Goal::Destroy { purge: true };
            let of_data = || resource::access::preflight(&subject, facts).filter(|_| purge).map(kept);
            resource::access::removal_preflight(&subject, facts).or_else(of_data)
        }
        _ => resource::access::preflight(&subject, facts).filter(|_| !request.trust.foreign_directories),
    };
    access.or_else(|| {
        let kinds = steps.iter().filter(|step| !step.destructive && step.kind != Kind::Access).map(|step| step.kind);
        kinds.into_iter().find_map(|kind| resource::preflight(kind, &subject, &session.facts))
    })
}

/// The steps that take an environment off its host; a machine that we made goes with everything on it.
fn removal(session: &Session) -> Vec<PlannedStep> {
    if session.prepared.environment.provision.is_some() {
        let all = session.prepared.steps(&session.facts, Stage::Provisioned).into_iter();
        return all.filter(|step| step.kind == Kind::Infrastructure).collect();
    }
    let present = |kind: &Kind| remove::present(*kind, &session.prepared.environment, &session.facts);
    let step = |kind| PlannedStep {
        environment: session.prepared.name().to_owned(),
        kind,
        action: Action::Remove,
        reason: "destroyed".to_owned(),
        destructive: true,
        changes: Vec::new(),
    };
    remove::ORDER.into_iter().filter(present).map(step).collect()
}
