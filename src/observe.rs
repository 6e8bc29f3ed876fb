//! One environment under observation: its connection, what was last seen, what is to be saved and shown.
//! Never changes a host.

use crate::application::release::Release;
use crate::check;
use crate::diff;
use crate::event::{EnvironmentView, FailedView, Health, PlannedStep};
use crate::failure::{Failure, Reason};
use crate::host::{Host, Input, Output};
use crate::manifest::environment::Environment;
use crate::secret::Redactor;
use crate::state::{Kind, Stage, State};
use crate::step::record::{DigestKey, PublishedPort};
use crate::step::{self, Command, HostFacts, Subject};
use crate::store::Record;
use camino::Utf8PathBuf;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// An environment read from the manifest, its secrets resolved, its release rendered.
pub struct Prepared {
    /// What the manifest says.
    pub environment: Environment,
    /// What would be sent.
    pub release: Option<Release>,
    /// Hides the environment's secrets in what hosts print.
    pub redactor: Arc<Redactor>,
    /// See [`Subject::fallback_key`].
    pub fallback_key: DigestKey,
}

/// A prepared environment with a connection and an observation.
pub struct Session {
    /// What is declared.
    pub prepared: Prepared,
    /// The connection.
    pub host: Host,
    /// What was last seen.
    pub facts: HostFacts,
    /// What failed in this run.
    pub failed: Option<FailedView>,
    /// Whether a step of this run succeeded.
    pub changed: bool,
}

impl Prepared {
    /// The environment as the rooms see it.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject { environment: &self.environment, release: self.release.as_ref(), fallback_key: &self.fallback_key }
    }

    /// The environment's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.environment.name.as_str()
    }

    /// The steps from an observed state to the desired one, up to `stage`.
    #[must_use]
    pub fn steps(&self, facts: &HostFacts, stage: Stage) -> Vec<PlannedStep> {
        let subject = self.subject();
        let (observed, desired) = (step::observed(&subject, facts), step::desired(&subject, facts));
        let asked =
            facts.files.current.as_ref().map(|record| &record.digest) != step::files::digest(&subject, facts).as_ref();
        let drifted = |kind: Kind| kind > Kind::Engine && !asked;
        let follows = |kind: Kind, changed: &BTreeMap<Kind, std::collections::BTreeSet<String>>| match kind {
            Kind::Images => {
                changed.get(&Kind::Files).filter(|files| step::images::follows(&subject, files)).map(|_| Kind::Files)
            }
            Kind::Services => [Kind::Files, Kind::Images].into_iter().find(|leader| changed.contains_key(leader)),
            _ => None,
        };
        diff::diff(self.name(), &subject.kinds(stage), &observed, &desired, &drifted, &follows)
    }
}

impl Session {
    /// Connects nothing: takes a connection and reads everything in one round trip.
    pub async fn observe(&mut self) -> Result<(), Failure> {
        let script = step::probe(&self.prepared.subject());
        let output = self.host.run(&script, Input::Empty, step::SHORT).await?;
        self.facts = step::parse(&output.stdout)
            .map_err(|failure| failure.details(self.prepared.redactor.redact(&output.stderr)))?;
        let from_runner = check::from_runner(&self.prepared.environment).await;
        self.facts.services.checks.extend(from_runner);
        Ok(())
    }

    /// Waits until what a broken-off run left running on the host has ended, and looks again.
    pub async fn outlast(&mut self) -> Result<(), Failure> {
        let script = step::alone(&self.prepared.subject());
        self.host.run(&script, Input::Empty, step::PATIENCE + step::SHORT).await?;
        self.observe().await
    }

    /// Runs one command; its own failure carries its last lines.
    pub async fn run(&self, command: &Command) -> Result<Output, Failure> {
        let script = step::script(&self.prepared.subject(), command);
        let output = self.host.run(&script, command.input.clone(), command.limit + step::PATIENCE).await?;
        if output.status == 0 {
            return Ok(output);
        }
        if self.host.gone().await {
            let message = format!("The connection broke while the host was to {}", command.title);
            return Err(Failure::new(Reason::ConnectionLost, message));
        }
        let stderr = self.prepared.redactor.redact(&output.stderr);
        let last: Vec<&str> = stderr.trim_end().lines().rev().take(20).collect();
        let details = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        let reason = if details.contains("No space left on device") { Reason::DiskFull } else { command.reason };
        let message = format!("Cannot {}: exit {}", command.title, output.status);
        Err(Failure::new(reason, message).details(details))
    }

    /// The live content of text files, as far as they are small (64 KiB) and valid UTF-8.
    pub async fn contents(&self, paths: &[Utf8PathBuf]) -> Result<BTreeMap<Utf8PathBuf, String>, Failure> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = paths.iter().fold(String::new(), |text, path| text + path.as_str() + "\n");
        let script = self.prepared.subject().preamble()
            + "cd \"$app\" || exit 0\nwhile IFS= read -r path; do\n  [ -f \"$path\" ] || continue\n  \
               size=$(head -c 65537 -- \"$path\" | wc -c)\n  [ \"$size\" -le 65536 ] || continue\n  \
               printf '%s %s\\n' \"$size\" \"$path\"\n  head -c \"$size\" -- \"$path\"\n  echo\ndone <<'/.'\n"
            + &list
            + "/.\n";
        let output = self.host.run(&script, Input::Empty, step::SHORT).await?;
        let (mut rest, mut contents) = (&output.stdout[..], BTreeMap::new());
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let header = String::from_utf8_lossy(&rest[..end]).into_owned();
            let Some((size, path)) = header.split_once(' ') else { break };
            let Some(body) = size.parse().ok().and_then(|size: usize| rest.get(end + 1..end + 1 + size)) else { break };
            if let Ok(text) = std::str::from_utf8(body) {
                contents.insert(Utf8PathBuf::from(path), text.to_owned());
            }
            rest = rest.get(end + 2 + body.len()..).unwrap_or_default();
        }
        Ok(contents)
    }

    /// The last lines of containers that are not well, service by service.
    pub async fn last_words(&self) -> String {
        let subject = self.prepared.subject();
        let observed = step::observed(&subject, &self.facts);
        let states = observed.0.get(&Kind::Services).cloned().unwrap_or_default();
        let bad = |service: &str| states.get(service).is_some_and(|state| !step::container::good(state));
        let mut text = String::new();
        for container in self.facts.services.containers.iter().filter(|container| bad(&container.service)).take(3) {
            let script = format!("docker logs --tail 20 {} 2>&1", crate::shell::quote(&container.id));
            if let Ok(output) = self.host.run(&script, Input::Empty, step::SHORT).await {
                let state = states.get(&container.service).map_or("", String::as_str);
                let _ = writeln!(text, "{} is {state}; its last lines:", container.service);
                text += self.prepared.redactor.redact(&String::from_utf8_lossy(&output.stdout)).trim_end();
                text.push('\n');
            }
        }
        text
    }

    /// What is to be saved of this observation.
    #[must_use]
    pub fn record(&self, now: Timestamp, failed: Option<FailedView>) -> Record {
        let subject = self.prepared.subject();
        let state = step::observed(&subject, &self.facts);
        let services = step::services::records(&subject, &self.facts);
        let live = self.facts.files.current.is_some() || self.facts.files.swapping.is_some();
        let facts = state.0.get(&Kind::Services).cloned().unwrap_or_default();
        let of_services = facts.into_iter().filter(|(name, _)| services.contains_key(name)).collect();
        Record {
            stage: stage(&subject, &self.facts, &state),
            health: health(&state),
            address: self.prepared.environment.address.clone(),
            observed_at: now,
            serial: self.facts.access.serial,
            suspended: self.facts.access.marker.as_ref().is_some_and(|marker| marker.suspended),
            failed,
            host_keys: self.host.host_keys().to_vec(),
            endpoints: endpoints(
                &self.prepared.environment,
                services.values().filter(|_| live).flat_map(|service| &service.ports),
            ),
            services: of_services,
            state,
        }
    }
}

/// The steps from what is recorded to what the manifest says, without contact. What was never recorded
/// is unverified; secrets are not compared.
#[must_use]
pub fn recorded_steps(prepared: &Prepared, record: Option<&Record>, stage: Stage) -> Vec<PlannedStep> {
    let subject = prepared.subject();
    let mut facts = HostFacts::default();
    let observed = record.map(|record| record.state.clone()).unwrap_or_default();
    facts.access.systemd = observed.0.get(&Kind::Engine).is_some_and(|engine| engine.contains_key("boot"));
    let mut desired = step::desired(&subject, &facts);
    for kind in [Kind::Images, Kind::Services] {
        let seen = observed.0.get(&kind).into_iter().flatten();
        let release_known = desired.0.get(&kind).is_some_and(|facts| facts.contains_key(step::services::RELEASE));
        let own = desired.0.entry(kind).or_default();
        for (fact, value) in seen.filter(|(fact, _)| release_known || *fact != step::services::RELEASE) {
            own.entry(fact.clone()).or_insert_with(|| value.clone());
        }
    }
    let known = |kind: Kind| observed.0.contains_key(&kind);
    let nothing = |_: Kind, _: &BTreeMap<Kind, std::collections::BTreeSet<String>>| None;
    let mut steps = diff::diff(prepared.name(), &subject.kinds(stage), &observed, &desired, &|_| false, &nothing);
    for step in steps.iter_mut().filter(|step| record.is_none() || !known(step.kind)) {
        step.action = crate::event::Action::Update;
        "unverified".clone_into(&mut step.reason);
    }
    steps
}

/// The furthest stage whose things are really there.
fn stage(subject: &Subject<'_>, facts: &HostFacts, state: &State) -> Stage {
    let desired = step::desired(subject, facts);
    let same = |kind: Kind| state.0.get(&kind) == desired.0.get(&kind);
    let files = &facts.files;
    if health(state) == Health::Healthy && files.current.is_some() {
        Stage::Running
    } else if files.current.is_some() || (files.staged.is_some() && same(Kind::Images)) {
        Stage::Released
    } else if same(Kind::Engine) {
        Stage::Configured
    } else if facts.access.key.is_some() {
        Stage::Provisioned
    } else if facts.access.marker.is_some() {
        Stage::Destroyed
    } else {
        Stage::Created
    }
}

fn health(state: &State) -> Health {
    let facts = state.0.get(&Kind::Services);
    let mut states = facts.into_iter().flatten().filter(|(name, _)| *name != step::services::RELEASE).peekable();
    let good = |(name, value): (&String, &String)| {
        if name.starts_with("check ") { value == check::PASSES } else { step::container::good(value) }
    };
    if states.peek().is_none() {
        return Health::None;
    }
    let bad: Vec<_> = states.filter(|fact| !good(*fact)).collect();
    match bad.iter().all(|(_, value)| matches!(value.as_str(), "starting" | "created")) {
        true if bad.is_empty() => Health::Healthy,
        true => Health::Starting,
        false => Health::Unhealthy,
    }
}

/// Where the public reaches what the services publish; ports bound to loopback are left out.
fn endpoints<'a>(environment: &Environment, ports: impl Iterator<Item = &'a PublishedPort>) -> Vec<String> {
    use crate::manifest::environment::CheckProbe;
    let address = environment.public_addresses.first().map_or_else(|| environment.address.clone(), ToString::to_string);
    let address = if address.contains(':') { format!("[{address}]") } else { address };
    let scheme = |port: &PublishedPort| {
        let checked = environment.checks.iter().find_map(|check| match &check.probe {
            CheckProbe::Http { port: number, tls, .. } if *number == port.port => {
                Some(if *tls { "https" } else { "http" })
            }
            _ => None,
        });
        checked.unwrap_or(port.protocol.as_str()).to_owned()
    };
    let public = ports.filter(|port| !port.address.starts_with("127.") && port.address != "::1");
    let mut endpoints: Vec<String> = public.map(|port| format!("{}://{address}:{}", scheme(port), port.port)).collect();
    endpoints.sort();
    endpoints.dedup();
    endpoints
}

/// One environment as it is shown: what the record says, and what the manifest and a failed look add.
#[must_use]
pub fn view(
    environment: &Environment,
    record: Option<&Record>,
    drifted: Vec<Kind>,
    unreachable: Option<String>,
) -> EnvironmentView {
    EnvironmentView {
        name: environment.name.to_string(),
        target: "registered",
        address: environment.address.clone(),
        stage: record.map_or(Stage::Created, |record| record.stage),
        health: record.map_or(Health::None, |record| record.health),
        drifted,
        failed: record.and_then(|record| record.failed.clone()),
        in_progress: None,
        suspended: record.is_some_and(|record| record.suspended),
        protected: false,
        observed_at: record.map(|record| record.observed_at),
        endpoints: record.map(|record| record.endpoints.clone()).unwrap_or_default(),
        services: record.map(|record| record.services.clone()).unwrap_or_default(),
        unreachable,
    }
}
