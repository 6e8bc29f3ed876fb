//! Prepares an environment on the runner: resolves its secrets, renders its release, finds its steps. Contacts no host.

use crate::io::secret;
use crate::io::store::Record;
use crate::manifest::environment::{DriftPolicy, Environment};
use crate::model::diff;
use crate::model::event::{Action, Left, PlannedStep, StepReason, Why};
use crate::model::failure::Failure;
use crate::model::reach::Reach;
use crate::model::secret::{Redactor, SecretSource, Value, Variable};
use crate::model::state::{Kind, Stage};
use crate::release;
use crate::release::sent::{File, Login, Release};
use crate::resource::contract::record::DigestKey;
use crate::resource::services::Fact;
use crate::resource::{self, HostFacts, Observation, Outside, Subject, drift};
use data_encoding::BASE64;
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zeroize::Zeroizing;

/// An environment from the manifest, with its secrets resolved and its release rendered.
pub struct Prepared {
    /// The environment as the manifest defines it.
    pub environment: Environment,
    /// The way to its host.
    pub reach: Reach,
    /// The release that would be sent.
    pub release: Option<Release>,
    /// The reasons why the application could not be read, so that its release is [`Release::unread`].
    pub mistakes: Vec<Failure>,
    /// The redactor that hides the environment's secrets in the output of hosts.
    pub redactor: Arc<Redactor>,
    /// See [`Subject::retry`].
    pub retry: bool,
    /// See [`Subject::take_over`].
    pub take_over: bool,
    /// See [`Subject::new_volumes`].
    pub new_volumes: Vec<String>,
    /// See [`Subject::fallback_key`].
    pub fallback_key: DigestKey,
    /// The wishes of the manifest when each kind last matched it, as [`drift::wishes`] returns them.
    pub met: BTreeMap<Kind, String>,
}

impl Prepared {
    /// Returns an environment without its values and its release, which suffices to connect to its host.
    #[must_use]
    pub fn without_release(environment: Environment) -> Self {
        Self {
            reach: environment.ssh.reach(&environment.address),
            environment,
            release: None,
            mistakes: Vec::new(),
            redactor: Arc::new(Redactor::new(&[])),
            retry: false,
            take_over: false,
            new_volumes: Vec::new(),
            fallback_key: DigestKey::new(*blake3::hash(uuid::Uuid::new_v4().as_bytes()).as_bytes()),
            met: BTreeMap::new(),
        }
    }

    /// Returns the environment in the form that the resources in [`crate::resource`] take.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            environment: &self.environment,
            release: self.release.as_ref(),
            retry: self.retry,
            take_over: self.take_over,
            new_volumes: &self.new_volumes,
            fallback_key: &self.fallback_key,
        }
    }

    /// Returns the environment's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.environment.name.as_str()
    }

    /// Returns the steps from an observed state to the desired one, up to `stage`.
    #[must_use]
    pub fn steps(&self, seen: &Observation, stage: Stage) -> Vec<PlannedStep> {
        let subject = self.subject();
        let bare = self.bare(seen.facts());
        let seen = bare.as_ref().unwrap_or(seen);
        let facts = seen.facts();
        let drifted = |kind: Kind| drift::drifted(kind, &subject, facts, &self.met);
        let follows = |kind: Kind, changed: &BTreeMap<Kind, BTreeSet<String>>| match kind {
            Kind::Firewall if self.environment.firewall.is_none() => None,
            Kind::Images => changed
                .get(&Kind::Files)
                .filter(|files| resource::images::follows(&subject, files))
                .map(|_| Kind::Files),
            Kind::Firewall => changed
                .get(&Kind::Files)
                .filter(|files| resource::images::redefines(&subject, files))
                .map(|_| Kind::Files),
            // An engine that restarts also restarts its services.
            Kind::Services if changed.get(&Kind::Engine).is_some_and(|facts| facts.contains("ipv6")) => {
                Some(Kind::Engine)
            }
            // A machine that was resized was off for a moment.
            Kind::Services => [Kind::Infrastructure, Kind::Files, Kind::Images]
                .into_iter()
                .find(|leader| changed.contains_key(leader)),
            _ => None,
        };
        let mut steps =
            diff::diff(self.name(), &subject.kinds(stage), seen.observed(), seen.desired(), &drifted, &follows);
        resource::infrastructure::mark(&subject, facts, &mut steps);
        steps
    }

    /// Returns the observation of an empty host if the machine does not exist yet or does not run, because nothing
    /// inside it can be observed.
    fn bare(&self, facts: &HostFacts) -> Option<Observation> {
        let wanted = &self.environment.provision.as_deref()?.machine;
        let machine = Some(facts.outside.machine.clone()).filter(|seen| seen.is_unseen(wanted))?;
        let outside = Outside { machine, ..Outside::default() };
        Some(Observation::of(&self.subject(), HostFacts { outside, ..HostFacts::default() }))
    }

    /// Returns the steps without the drift that is not corrected, and that drift.
    #[must_use]
    pub fn steps_and_rest(&self, seen: &Observation, stage: Stage) -> (Vec<PlannedStep>, Vec<Left>) {
        let facts = seen.facts();
        let detect = self.environment.drift.policy == DriftPolicy::Detect && !drift::is_between_releases(facts);
        let (mut rest, mut steps) = self
            .steps(seen, stage)
            .into_iter()
            .partition::<Vec<_>, _>(|step| detect && step.reason == StepReason::Drifted);
        let follows = |step: &PlannedStep| rest.iter().any(|left| step.reason == StepReason::Follows(left.kind));
        steps.retain(|step| !follows(step));
        let left =
            |kind, why, reason, changes| Left { environment: self.name().to_owned(), kind, why, reason, changes };
        let detected = rest.drain(..).map(|step| left(step.kind, Why::Detect, None, step.changes)).collect::<Vec<_>>();
        let subject = self.subject();
        let kinds = subject.kinds(stage);
        let ignored = drift::ignored(&subject, facts).into_iter().filter(|(kind, ..)| kinds.contains(kind));
        let ignored = ignored.map(|(kind, change, rule)| {
            let why = if rule.quarantined { Why::Quarantined } else { Why::Ignored };
            left(kind, why, Some(rule.reason.clone()), vec![change])
        });
        let rest = detected.into_iter().chain(ignored).collect();
        (steps, rest)
    }

    /// Returns the kinds that differ from the manifest, no matter who fixes them. Ignored drift does not count.
    #[must_use]
    pub fn differing(steps: &[PlannedStep], left: &[Left]) -> Vec<Kind> {
        let left = left.iter().filter(|left| left.why != Why::Ignored).map(|left| left.kind);
        let kinds: BTreeSet<Kind> = steps.iter().map(|step| step.kind).chain(left).collect();
        kinds.into_iter().collect()
    }
}

/// Returns the steps from the recorded state to the manifest, without contact to a host. A kind that was never recorded
/// is "unverified". Secrets are not compared.
#[must_use]
pub fn recorded_steps(prepared: &Prepared, record: Option<&Record>, stage: Stage) -> Vec<PlannedStep> {
    let subject = prepared.subject();
    let mut facts = HostFacts::default();
    let mut observed = record.map(|record| record.state.clone()).unwrap_or_default();
    // Digests of secrets cannot be compared without the host's key: such files are taken to be unchanged.
    let secret = |path: &String| {
        let file = prepared.release.as_ref().and_then(|release| release.files.get(camino::Utf8Path::new(path)));
        file.is_some_and(hides)
    };
    facts.access.systemd = observed.0.get(&Kind::Engine).is_some_and(|engine| engine.contains_key("boot"));
    let mut desired = resource::desired(&subject, &facts);
    let release = Fact::Release.to_string();
    if prepared.release.iter().flat_map(|release| release.files.keys()).any(|path| secret(&path.to_string())) {
        desired.0.entry(Kind::Services).and_modify(|facts| _ = facts.remove(&release));
    }
    let mut recorded = BTreeSet::new();
    observed.0.entry(Kind::Files).and_modify(|files| {
        recorded = files.keys().filter(|path| secret(path)).cloned().collect();
        files.retain(|path, _| !recorded.contains(path));
    });
    desired.0.entry(Kind::Files).and_modify(|files| files.retain(|path, _| !recorded.contains(path)));
    for kind in [Kind::Images, Kind::Services] {
        let seen = observed.0.get(&kind).into_iter().flatten();
        let release_known = desired.0.get(&kind).is_some_and(|facts| facts.contains_key(&release));
        let own = desired.0.entry(kind).or_default();
        for (fact, value) in seen.filter(|(fact, _)| release_known || **fact != release) {
            own.entry(fact.clone()).or_insert_with(|| value.clone());
        }
    }
    let seen = observed.0.get(&Kind::Firewall).filter(|_| prepared.environment.firewall.is_some());
    if let Some(seen) = seen.filter(|seen| !seen.is_empty()) {
        resource::firewall::as_recorded(seen, desired.0.entry(Kind::Firewall).or_default());
    }
    if let Some(services) = observed.0.get_mut(&Kind::Services)
        && desired.0.get(&Kind::Services).is_none_or(|facts| !facts.contains_key(&release))
    {
        services.remove(&release);
    }
    // Drift of an ignored fact cannot be detected without the host: such facts are left out.
    for (kind, facts) in &mut observed.0 {
        let wanted = desired.0.entry(*kind).or_default();
        let ignored = |fact: &str| prepared.environment.drift.ignore.iter().any(|rule| rule.covers(*kind, fact));
        facts.retain(|fact, _| !ignored(fact));
        wanted.retain(|fact, _| !ignored(fact));
    }
    let known = |kind: Kind| observed.0.contains_key(&kind);
    let nothing = |_: Kind, _: &BTreeMap<Kind, BTreeSet<String>>| None;
    let mut steps = diff::diff(prepared.name(), &subject.kinds(stage), &observed, &desired, &|_| false, &nothing);
    for step in steps.iter_mut().filter(|step| record.is_none() || !known(step.kind)) {
        (step.action, step.reason) = (Action::Update, StepReason::Unverified);
    }
    steps
}

/// Returns true if a file can only be compared on its host.
fn hides(file: &File) -> bool {
    !file.seed && (file.secret || file.sha256.is_none())
}

/// Returns the files that [`recorded_steps`] does not compare: those of secrets and of values that were not read.
#[must_use]
pub fn unrecorded(prepared: &Prepared, record: Option<&Record>) -> Vec<String> {
    let Some(release) = prepared.release.as_ref().filter(|_| prepared.environment.stage != Stage::Destroyed) else {
        return Vec::new();
    };
    let recorded = record.and_then(|record| record.state.0.get(&Kind::Files));
    let known = |path: &str| recorded.is_some_and(|files| files.contains_key(path));
    let files =
        release.files.iter().filter(|(path, file)| hides(file) && (known(path.as_str()) || file.sha256.is_none()));
    files.map(|(path, _)| path.to_string()).collect()
}

/// The values that a command resolves if the manifest names only their source. This is the only place that decides
/// which commands run a `from_command` or read a `from_file`; `tests/attacks/offline.rs` tests it.
///
/// The secrets of a connection (`ssh.identity`, `ssh.sudo_password`) are read by [`crate::reconcile::connect::open`],
/// only when a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Values written in the manifest: `check`, `graph`, `list`, `render --offline` and every other command with
    /// `--offline`. Nothing is run or read, so a manifest from an untrusted source can be inspected.
    Literals,
    /// Also variables of the runner's environment, so that these are hidden in the output of hosts: commands that use a
    /// host and whose result depends on no secret (`logs`, `ssh`, `exec`, `history`, `backup`, `destroy`, …).
    Connection,
    /// All values that can be resolved; files that need a missing value are not compared: `status`.
    Available,
    /// As [`Self::Everything`], but goes on without the application: `rollback`.
    RollBack,
    /// All values, and each must resolve: `plan`, `apply`, `render`, `check --secrets`.
    Everything,
}

impl Resolve {
    /// Returns true if a value from that source is read.
    #[must_use]
    pub const fn covers(self, source: &SecretSource) -> bool {
        match (self, source) {
            (_, SecretSource::Literal { .. })
            | (Self::Connection, SecretSource::Environment { .. })
            | (Self::Available | Self::RollBack | Self::Everything, _) => true,
            (Self::Literals | Self::Connection, _) => false,
        }
    }

    /// Returns true if a command is about the live release: it goes on if the application cannot be read here.
    #[must_use]
    pub const fn goes_on(self) -> bool {
        matches!(self, Self::Connection | Self::Available | Self::RollBack)
    }

    /// Returns the value of a source, or `None` if the source is not read, or is missing and not required.
    async fn value(self, source: &SecretSource) -> Result<Option<Value>, Failure> {
        if !self.covers(source) {
            return Ok(None);
        }
        match secret::resolve(source).await {
            Ok(value) => Ok(Some(value)),
            Err(failure) if matches!(self, Self::RollBack | Self::Everything) => Err(failure),
            Err(_) => Ok(None),
        }
    }
}

/// A function that hides an environment's secrets in all later output. Its arguments are the environment's name and its
/// secrets.
pub type Hide<'a> = &'a (dyn Fn(&str, &Arc<Redactor>) + Send + Sync);

/// Resolves an environment's values as far as `resolve` allows, and renders its release. For a command that
/// [goes on](Resolve::goes_on) without the application, its mistakes are not failures. Reads only files of the runner. Passes secrets to `hide` before an error message can contain them.
pub async fn prepare(environment: Environment, resolve: Resolve, hide: Hide<'_>) -> Result<Prepared, Vec<Failure>> {
    let mut values = BTreeMap::new();
    let mut secrets = Vec::new();
    let mut failures = Vec::new();
    let variables = environment.application.as_ref().map(|it| it.variables.clone()).unwrap_or_default();
    for (name, source) in variables {
        match resolve.value(&source).await {
            Ok(Some(value)) => {
                if value.secret {
                    secrets.push(value.text.clone());
                }
                values.insert(name, Variable { value: Some(value.text), secret: value.secret });
            }
            Ok(None) => _ = values.insert(name, Variable { value: None, secret: true }),
            Err(failure) => failures.push(failure.within(format_args!("Cannot read the variable {name}"))),
        }
    }
    let mut logins = BTreeMap::new();
    for (host, registry) in environment.application.iter().flat_map(|it| &it.registries) {
        match resolve.value(&registry.password).await {
            Ok(Some(value)) => {
                // Registry clients keep and send the password in this form.
                let login = Zeroizing::new(format!("{}:{}", registry.username, value.text.expose_secret()));
                secrets.extend([value.text.clone(), BASE64.encode(login.as_bytes()).into()]);
                logins.insert(host.clone(), Login { username: registry.username.clone(), password: value.text });
            }
            Ok(None) => {}
            Err(failure) => failures.push(failure),
        }
    }
    let redactor = Arc::new(Redactor::new(&secrets));
    hide(environment.name.as_str(), &redactor);
    let release = match &environment.application {
        Some(application) if failures.is_empty() && !environment.orphaned => {
            let loaded = release::load(application, &values, &redactor);
            // The load may have added secrets to the redactor, even if it failed.
            hide(environment.name.as_str(), &redactor);
            match loaded {
                Ok(release) => Some(Release { logins, ..release }),
                Err(more) => {
                    failures.extend(more);
                    None
                }
            }
        }
        _ => None,
    };
    let mistakes: Vec<Failure> = failures.into_iter().map(|failure| failure.on(&environment.name)).collect();
    if !mistakes.is_empty() && !resolve.goes_on() {
        return Err(mistakes);
    }
    let release = if mistakes.is_empty() { release } else { Some(Release::unread()) };
    Ok(Prepared { release, mistakes, redactor, ..Prepared::without_release(environment) })
}

/// Returns a redactor of the secrets that open the connection, as far as they can be resolved.
pub async fn known_of_access(environment: &Environment) -> Redactor {
    let mut known = Vec::new();
    for source in [environment.ssh.sudo_password.as_ref(), environment.ssh.key_source()].into_iter().flatten() {
        known.extend(secret::resolve(source).await.ok().map(|value| value.text));
    }
    Redactor::new(&known)
}

/// Returns the failures of the connection secrets that cannot be resolved.
pub async fn secrets_of_access(environment: &Environment) -> Vec<Failure> {
    let mut failures = Vec::new();
    for source in [environment.ssh.sudo_password.as_ref(), environment.ssh.key_source()].into_iter().flatten() {
        failures.extend(secret::resolve(source).await.err());
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_reads_what_its_commands_need() {
        let sources = [
            SecretSource::Literal { value: "x".to_owned(), secret: true },
            SecretSource::Environment { name: "X".to_owned(), secret: false },
            SecretSource::File { path: "/x".into(), secret: false },
            SecretSource::Command { argv: vec!["x".to_owned()], secret: false },
        ];
        for (resolve, expected) in [
            (Resolve::Literals, [true, false, false, false]),
            (Resolve::Connection, [true, true, false, false]),
            (Resolve::Available, [true; 4]),
            (Resolve::RollBack, [true; 4]),
            (Resolve::Everything, [true; 4]),
        ] {
            assert_eq!(sources.each_ref().map(|source| resolve.covers(source)), expected, "{resolve:?}");
        }
    }

    #[tokio::test]
    async fn a_value_that_is_missing_is_a_failure_only_where_each_is_needed() {
        let source = SecretSource::Environment { name: "DEPLOYER_NOT_SET".to_owned(), secret: true };
        for resolve in [Resolve::Literals, Resolve::Connection, Resolve::Available] {
            assert!(resolve.value(&source).await.is_ok_and(|value| value.is_none()), "{resolve:?}");
        }
        for resolve in [Resolve::RollBack, Resolve::Everything] {
            assert!(resolve.value(&source).await.is_err(), "{resolve:?}");
        }
    }
}
