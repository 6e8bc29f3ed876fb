//! One pass: prepare, observe, diff, plan, execute. `plan`, `apply` and the lifecycle commands are this
//! function cut at different lengths. Never prints, never reads the command line.

use crate::event::{Action, Event, Left, PlannedStep, Sink, Why};
use crate::execute::Sessions;
use crate::failure::{Failure, Reason};
use crate::host::{Host, Way};
use crate::manifest::environment::Environment;
use crate::observe::Session;
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::secret::{self};
use crate::state::{Kind, Stage};
use crate::step::{self, remove};
use crate::store::Record;
use futures::StreamExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::Mutex;

/// Where a pass leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To each environment's own stage, and no further than this one.
    Reach(Stage),
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
    /// What is taken on trust.
    pub trust: Trust,
}

impl Goal {
    /// The stage this pass brings an environment to; `None` where it is taken off its host.
    #[must_use]
    pub fn stage(self, environment: &Environment) -> Option<Stage> {
        match self {
            Self::Reach(limit) if environment.stage != Stage::Destroyed => Some(environment.stage.min(limit)),
            _ => None,
        }
    }
}

/// Asked whether an unknown host key is to be trusted.
pub type Vouch<'a> = &'a (dyn Fn(&Failure) -> bool + Sync);

/// Connects and observes, several hosts at once. What fails is returned by environment.
pub async fn observe(
    prepared: Vec<Prepared>,
    records: &BTreeMap<String, Record>,
    request: &Request,
    sink: &Sink,
    vouch: Vouch<'_>,
) -> (Sessions, Vec<(Prepared, Failure)>) {
    let one = |prepared: Prepared| async move {
        let known = records.get(prepared.name()).map(|record| record.host_keys.clone()).unwrap_or_default();
        match connect(&prepared, &known, request, sink, vouch).await {
            Ok(host) => {
                let mut session =
                    Session { prepared, host, facts: step::HostFacts::default(), failed: None, changed: false };
                match session.observe().await {
                    Ok(()) => Ok(session),
                    Err(failure) => {
                        let failure = failure.on(session.prepared.name());
                        session.host.close().await;
                        Err((session.prepared, failure))
                    }
                }
            }
            Err(failure) => {
                let failure = failure.on(prepared.name());
                Err((prepared, failure))
            }
        }
    };
    let results: Vec<_> =
        futures::stream::iter(prepared.into_iter().map(one)).buffer_unordered(request.parallel.max(1)).collect().await;
    let (mut sessions, mut failures) = (Sessions::new(), Vec::new());
    for result in results {
        match result {
            Ok(session) => {
                sessions.insert(session.prepared.name().to_owned(), Mutex::new(session));
            }
            Err(failed) => failures.push(failed),
        }
    }
    failures.sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
    (sessions, failures)
}

/// Opens the connection of one environment.
///
/// `vouch` is asked where a host's key is not known yet; its yes makes the key known.
pub async fn connect(
    prepared: &Prepared,
    known: &[String],
    request: &Request,
    sink: &Sink,
    vouch: Vouch<'_>,
) -> Result<Host, Failure> {
    let environment = &prepared.environment;
    let resolve = async |source: Option<&secret::SecretSource>| match source {
        Some(source) => secret::resolve(source).await.map(|value| Some(value.text)),
        None => Ok(None),
    };
    let mut way = Way {
        address: &environment.address,
        ssh: &environment.ssh,
        sudo_password: resolve(environment.ssh.sudo_password.as_ref()).await?,
        key_text: resolve(environment.ssh.key_source()).await?,
        known,
        accept_new: request.trust.new_host_keys,
    };
    let wait = if request.patient { environment.ssh.wait } else { Duration::ZERO };
    let waiting = |activity: &str| {
        sink(Event::Progress { environment: prepared.name().to_owned(), activity: activity.to_owned() });
    };
    match Host::connect(&way, wait, &waiting).await {
        Err(failure) if failure.reason == Reason::HostKeyUnknown && vouch(&failure) => {
            let key = failure.details.into_iter().collect::<Vec<_>>();
            way.known = &key;
            Host::connect(&way, wait, &waiting).await
        }
        connected => connected,
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
            Some(stage) => session.prepared.steps_and_rest(&session.facts, stage),
            None => (removal(&session), Vec::new()),
        };
        if !request.destructive && own.iter().any(|step| step.destructive) {
            proposal.spared.push(name.clone());
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

/// What is known to fail before anything is changed: another's directory, no room, no way to install.
fn foreseen(session: &Session, steps: &[PlannedStep], request: &Request) -> Option<Failure> {
    let subject = session.prepared.subject();
    let access = step::preflight(Kind::Access, &subject, &session.facts).filter(|_| !request.trust.foreign_directories);
    access.or_else(|| {
        let kinds = steps.iter().filter(|step| !step.destructive && step.kind != Kind::Access).map(|step| step.kind);
        kinds.into_iter().find_map(|kind| step::preflight(kind, &subject, &session.facts))
    })
}

/// The steps that take an environment off its host.
fn removal(session: &Session) -> Vec<PlannedStep> {
    let present = |kind: &Kind| remove::present(*kind, &session.facts);
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
