//! Resources: one file per kind, each with the shell that reads (`probe`), the parser of its output (`parse`), the
//! desired facts (`desired`), and the commands that change the host, as data (`commands`). Resources are pure: they do
//! no IO.

pub mod access;
pub mod backups;
pub mod compose;
pub mod contract;
pub mod drift;
pub mod engine;
pub mod files;
pub mod firewall;
pub mod images;
pub mod infrastructure;
pub mod listeners;
mod observation;
pub mod release_identity;
pub mod remove;
pub mod schedules;
pub mod scripts;
pub mod services;
pub mod updates;

pub use observation::{Observation, Outside};

pub use crate::resource::contract::lane::{Lane, PATIENCE};

use crate::manifest::environment::Environment;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::{Facts, Kind, Stage, State};
use crate::release::sent::Release;
use crate::resource::contract::frame::Frame;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Environment as the resources see it: its declaration and the files to send.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The environment's rendered release, if the environment has an application.
    pub release: Option<&'a Release>,
    /// True if rejected inputs are tried again.
    pub retry: bool,
    /// True if claims of other environments are taken over.
    pub take_over: bool,
    /// The volumes, and paths on the host, that may be new and empty although the live release had them.
    pub new_volumes: &'a [String],
    /// Substitute for the host's digest key until the host has one. The substitute is random and used in this run only.
    pub fallback_key: &'a crate::resource::contract::record::DigestKey,
}

/// The observed facts of a host, resource by resource, and the answers of others about the environment.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// Answers of OpenTofu, registries and the runner.
    pub outside: Outside,
    /// System, marker, key.
    pub access: access::Seen,
    /// Docker and Compose.
    pub engine: engine::Seen,
    /// Automatic updates.
    pub updates: updates::Seen,
    /// Checks of scripts, and the scripts that ran.
    pub scripts: scripts::Seen,
    /// Files, live and staged.
    pub files: files::Seen,
    /// Images of the engine.
    pub images: images::Seen,
    /// Rules and listening ports.
    pub firewall: firewall::Seen,
    /// Containers, ports, checks.
    pub services: services::Seen,
    /// Timers.
    pub schedules: schedules::Seen,
    /// Archives of the data.
    pub backups: backups::Seen,
    /// The kinds that could not be read, with the reasons.
    pub unread: BTreeMap<Kind, String>,
}

impl HostFacts {
    /// Returns the result of a check, which the runner or the host made.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&String> {
        self.outside.checks.get(name).or_else(|| self.services.checks.get(name))
    }

    /// Takes one kind's facts from a later observation, during which steps of other kinds may have been running.
    pub fn renew(&mut self, kind: Kind, later: Self) {
        self.access.serial = self.access.serial.max(later.access.serial);
        self.unread.remove(&kind);
        self.unread.extend(later.unread.get(&kind).map(|why| (kind, why.clone())));
        match kind {
            Kind::Infrastructure => {}
            Kind::Access => self.access = later.access,
            Kind::Engine => self.engine = later.engine,
            Kind::Updates => self.updates = later.updates,
            Kind::Scripts => self.scripts = later.scripts,
            Kind::Files => self.files = later.files,
            Kind::Images => self.images = later.images,
            Kind::Firewall => self.firewall = later.firewall,
            Kind::Services => self.services = later.services,
            Kind::Schedules => (self.schedules, self.backups) = (later.schedules, later.backups),
        }
    }
}

/// Change of the host, as data.
#[derive(Clone)]
pub struct Command {
    /// The title, for progress (`install Docker`).
    pub title: String,
    /// POSIX shell, run as root with `set -eu`. The script holds no secret.
    pub script: String,
    /// Data that follows the script on standard input, possibly with secrets.
    pub input: Input,
    /// The time limit.
    pub limit: Duration,
    /// The reason of the failure if the command fails.
    pub reason: Reason,
}

/// Time limit of a command that only moves small amounts of data.
pub const SHORT: Duration = Duration::from_mins(1);
/// Time limit of an observation of a host. Some of its kinds may reach [`crate::resource::contract::frame::LIMIT`].
pub const LOOK: Duration = Duration::from_mins(4);
/// Time limit of a command that downloads or installs.
pub const LONG: Duration = Duration::from_mins(30);

impl Subject<'_> {
    /// Returns the directory in which the host keeps its record of this environment (root, 0700).
    #[must_use]
    pub fn state_directory(&self) -> String {
        format!("/var/lib/deployer/{}", self.environment.identity())
    }

    /// Returns the marks around the output of each kind's probe.
    #[must_use]
    pub fn marks(&self) -> crate::resource::contract::frame::Marks {
        crate::resource::contract::frame::Marks::of(self.fallback_key)
    }

    /// Returns the shell assignments at the start of every script: `$state`, and `$app` if there is an application.
    #[must_use]
    pub fn preamble(&self) -> String {
        let mut text = format!(
            "LC_ALL=C PATH=\"$PATH:/usr/local/sbin:/usr/sbin:/sbin\"\nexport LC_ALL PATH\nstate={}\n",
            quote(&self.state_directory())
        );
        if let Some(application) = &self.environment.application {
            let _ = writeln!(text, "app={}", quote(application.host_directory.as_str()));
        }
        text
    }

    /// Returns the kinds that must converge for `stage`.
    #[must_use]
    pub fn kinds(&self, stage: Stage) -> Vec<Kind> {
        let application = self.environment.application.is_some();
        let wanted = |kind: &Kind| match kind {
            Kind::Infrastructure => self.environment.provision.is_some() && kind.stage() <= stage,
            Kind::Files | Kind::Images | Kind::Services => application && kind.stage() <= stage,
            _ => kind.stage() <= stage,
        };
        Kind::ALL.into_iter().filter(wanted).collect()
    }
}

/// Returns shell for a command that writes one of our small files on the host, completely or not at all.
fn keep(name: &str, content: &str) -> String {
    format!("write_whole \"$state/{name}\" '%s\\n' {}\n", quote(content))
}

/// The kinds that an observation reads, each with its own facts.
pub type Kinds = &'static [Kind];

/// Every kind. Infrastructure has no facts on a host.
const ALL: Kinds = &Kind::ALL;

/// The kinds of an observation that waits for services. Access is always read: it counts the changes of the host.
pub const WAITING: Kinds = &[Kind::Access, Kind::Services];

/// Returns the kinds to observe after the step of a kind: those that the step can have changed. Without a step, returns
/// all.
#[must_use]
pub const fn changed_by(step: Option<Kind>) -> Kinds {
    match step {
        Some(Kind::Files) => &[Kind::Access, Kind::Files],
        // The transfer of an image can take so long that containers change meanwhile.
        Some(Kind::Images) => &[Kind::Access, Kind::Files, Kind::Images, Kind::Services],
        // The check of a user's script can read files of the release, and what services write.
        Some(Kind::Services) => {
            &[Kind::Access, Kind::Scripts, Kind::Files, Kind::Images, Kind::Firewall, Kind::Services]
        }
        Some(Kind::Schedules) => &[Kind::Access, Kind::Schedules],
        // An installation or a script of the user can change everything.
        _ => ALL,
    }
}

/// Returns one script that reads every resource in one round trip.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    probe_of(subject, ALL)
}

/// Returns one script that reads these kinds in one round trip. [`parse_of`] reads its output.
#[must_use]
pub fn probe_of(subject: &Subject<'_>, kinds: Kinds) -> String {
    let mut script = subject.preamble();
    for kind in kinds {
        let fragment = match kind {
            Kind::Infrastructure => continue,
            Kind::Access => access::probe(subject),
            Kind::Engine => engine::probe(subject),
            Kind::Updates => updates::probe(subject),
            Kind::Scripts => scripts::probe(subject),
            Kind::Files => files::probe(subject),
            Kind::Images => images::probe(subject),
            Kind::Firewall => firewall::probe(subject),
            Kind::Services => services::probe(subject),
            Kind::Schedules => schedules::probe(subject),
        };
        script += &subject.marks().wrap(kind.name(), &fragment);
    }
    script
}

/// Reason for a kind whose probe exceeded its time limit.
const LATE: &str = "it did not end in time";

/// Name of the fact of a kind that could not be read.
const PROBE: &str = "probe";

/// Reads a probe's output. A kind that cannot be read is recorded, and the other kinds are read.
///
/// # Errors
/// `ProbeUnreadable` if the output is incomplete, or if access or the host's records of releases cannot be read,
/// because all other kinds depend on them.
pub fn parse(marks: &crate::resource::contract::frame::Marks, output: &[u8]) -> Result<HostFacts, Failure> {
    parse_of(marks, output, ALL, &HostFacts::default())
}

/// Reads the output of an observation of these kinds. All other kinds keep their facts from `before`.
///
/// # Errors
/// Same as [`parse`].
pub fn parse_of(
    marks: &crate::resource::contract::frame::Marks,
    output: &[u8],
    kinds: Kinds,
    before: &HostFacts,
) -> Result<HostFacts, Failure> {
    let frames = marks.split(output);
    let mut host = before.clone();
    for &kind in kinds.iter().filter(|kind| **kind != Kind::Infrastructure) {
        host.renew(kind, HostFacts::default());
        let read = match frames.get(kind.name()) {
            Some(Frame::Whole(frame)) => host.read(kind, frame),
            // All other kinds depend on the host's records of releases. Services can delay only the rest of this probe.
            Some(Frame::Late(frame)) if kind == Kind::Files => {
                files::whole_records(frame).ok_or_else(|| LATE.to_owned()).and_then(|records| {
                    host.unread.insert(kind, LATE.to_owned());
                    host.read(kind, records)
                })
            }
            Some(Frame::Late(_)) => Err(LATE.to_owned()),
            None => return Err(unreadable(kind, "the host's answer ends before it")),
        };
        match read {
            Ok(()) => {}
            Err(why) if matches!(kind, Kind::Access | Kind::Files) => return Err(unreadable(kind, &why)),
            Err(why) => _ = host.unread.insert(kind, why),
        }
    }
    Ok(host)
}

impl HostFacts {
    /// Reads the output of one kind's probe.
    fn read(&mut self, kind: Kind, frame: &[u8]) -> Result<(), String> {
        match kind {
            Kind::Infrastructure => {}
            Kind::Access => self.access = access::parse(frame)?,
            Kind::Engine => self.engine = engine::parse(frame),
            Kind::Updates => self.updates = updates::parse(frame),
            Kind::Scripts => self.scripts = scripts::parse(frame),
            Kind::Files => self.files = files::parse(frame)?,
            Kind::Images => self.images = images::parse(frame),
            Kind::Firewall => self.firewall = firewall::parse(frame),
            Kind::Services => self.services = services::parse(frame)?,
            Kind::Schedules => {
                self.schedules = schedules::parse(frame);
                self.backups = backups::parse(frame);
            }
        }
        Ok(())
    }
}

fn unreadable(kind: Kind, why: &str) -> Failure {
    Failure::new(Reason::ProbeUnreadable, format!("The {kind} probe cannot be read: {why}"))
}

/// Returns the observed facts.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> State {
    state(subject, |kind| match kind {
        _ if host.unread.contains_key(&kind) => {
            let why = host.unread.get(&kind).map_or("", String::as_str);
            Facts::from([(PROBE.to_owned(), format!("cannot be read: {why}"))])
        }
        Kind::Infrastructure => infrastructure::observed(host),
        Kind::Access => access::observed(subject, host),
        Kind::Engine => engine::observed(subject, host),
        Kind::Updates => updates::observed(subject, host),
        Kind::Scripts => scripts::observed(subject, host),
        Kind::Files => files::observed(subject, host),
        Kind::Images => images::observed(subject, host),
        Kind::Firewall => firewall::observed(host),
        Kind::Services => services::observed(subject, host),
        Kind::Schedules => schedules::observed(host),
    })
}

/// Returns the desired facts. For ignored drift, the desired value is the observed one.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> State {
    let mut desired = state(subject, |kind| {
        let readable =
            host.unread.contains_key(&kind).then(|| Facts::from([(PROBE.to_owned(), "readable".to_owned())]));
        readable.unwrap_or_else(|| wanted(kind, subject, host))
    });
    drift::ignore(subject, host, &mut desired);
    desired
}

fn wanted(kind: Kind, subject: &Subject<'_>, host: &HostFacts) -> Facts {
    match kind {
        Kind::Infrastructure => infrastructure::desired(host),
        Kind::Access => access::desired(subject, host),
        Kind::Engine => engine::desired(subject, host),
        Kind::Updates => updates::desired(subject),
        Kind::Scripts => scripts::desired(subject),
        Kind::Files => files::desired(subject, host),
        Kind::Images => images::desired(subject, host),
        Kind::Firewall => firewall::desired(subject, host),
        Kind::Services => services::desired(subject, host),
        Kind::Schedules => schedules::desired(subject),
    }
}

fn state(subject: &Subject<'_>, facts: impl Fn(Kind) -> Facts) -> State {
    State(subject.kinds(Stage::Running).into_iter().map(|kind| (kind, facts(kind))).collect())
}

/// Returns a failure that is known before anything is changed for this kind.
#[must_use]
pub fn preflight(kind: Kind, subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    if let Some(why) = host.unread.get(&kind) {
        return Some(unreadable(kind, why));
    }
    match kind {
        Kind::Infrastructure | Kind::Scripts => None,
        Kind::Access => access::preflight(subject, host),
        Kind::Engine => engine::preflight(subject, host),
        Kind::Updates => updates::preflight(subject, host),
        Kind::Files => files::preflight(subject, host),
        Kind::Images => images::preflight(subject, host),
        Kind::Firewall => firewall::preflight(subject, host),
        Kind::Services => services::preflight(subject, host),
        Kind::Schedules => schedules::preflight(subject, host),
    }
}

/// Returns the commands that bring this kind from the observed to the desired state.
pub fn commands(
    kind: Kind,
    subject: &Subject<'_>,
    host: &HostFacts,
    release_id: &str,
) -> Result<Vec<Command>, Failure> {
    match kind {
        Kind::Infrastructure => Ok(Vec::new()),
        Kind::Access => Ok(access::commands(subject, host)),
        Kind::Engine => Ok(engine::commands(subject, host)),
        Kind::Updates => Ok(updates::commands(subject)),
        Kind::Scripts => Ok(scripts::commands(subject, host)),
        Kind::Files => files::commands(subject, host, release_id),
        Kind::Images => Ok(images::commands(subject, host)),
        Kind::Firewall => Ok(firewall::commands(subject, host)),
        Kind::Services => services::commands(subject, host),
        Kind::Schedules => Ok(schedules::commands(subject, host)),
    }
}
