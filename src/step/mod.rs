//! The rooms: one file a kind, each with the shell that reads (`probe`), what it says (`parse`), what is
//! wanted (`desired`), and what changes the host, as data (`commands`). Rooms are pure: no room does IO.

pub mod access;
pub mod backups;
pub mod container;
pub mod drift;
pub mod engine;
mod exclusive;
pub mod files;
pub mod firewall;
pub mod frame;
pub mod guard;
pub mod images;
pub mod infrastructure;
mod lane;
pub mod lease;
pub mod model;
pub mod record;
pub mod remove;
pub mod schedules;
pub mod scripts;
pub mod services;
pub mod updates;
pub mod whole;

pub use lane::{Lane, PATIENCE};

use crate::application::release::Release;
use crate::failure::{Failure, Reason};
use crate::host::Input;
use crate::manifest::environment::Environment;
use crate::shell::quote;
use crate::state::{Facts, Kind, Stage, State};
use std::fmt::Write as _;
use std::time::Duration;

/// One environment as the rooms see it: what is declared, and what would be sent.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// Its rendered release, if it has an application.
    pub release: Option<&'a Release>,
    /// Whether inputs that were rejected are tried again.
    pub retry: bool,
    /// Stands in for the host's digest key until there is one; random, of this run alone.
    pub fallback_key: &'a record::DigestKey,
}

/// Everything the last observation read, room by room.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// The machine, where we make it.
    pub infrastructure: infrastructure::Seen,
    /// System, marker, key.
    pub access: access::Seen,
    /// Docker and Compose.
    pub engine: engine::Seen,
    /// Automatic updates.
    pub updates: updates::Seen,
    /// Checks of scripts, and what ran.
    pub scripts: scripts::Seen,
    /// Files, live and staged.
    pub files: files::Seen,
    /// Images of the engine.
    pub images: images::Seen,
    /// Rules, and what listens.
    pub firewall: firewall::Seen,
    /// Containers, ports, checks.
    pub services: services::Seen,
    /// Timers.
    pub schedules: schedules::Seen,
    /// Archives of the data.
    pub backups: backups::Seen,
}

impl HostFacts {
    /// Takes one kind's facts from a later look, in which others may have been in the midst of a change.
    pub fn renew(&mut self, kind: Kind, later: Self) {
        self.access.serial = self.access.serial.max(later.access.serial);
        match kind {
            Kind::Infrastructure => self.infrastructure = later.infrastructure,
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

/// One change of the host, as data.
#[derive(Clone)]
pub struct Command {
    /// What it does, for progress (`install Docker`).
    pub title: String,
    /// POSIX shell, run as root with `set -eu`. Never holds a secret.
    pub script: String,
    /// What follows on its standard input; may hold secrets.
    pub input: Input,
    /// How long it may take.
    pub limit: Duration,
    /// Why, where it fails.
    pub reason: Reason,
}

/// How long a command may take that only moves small things.
pub const SHORT: Duration = Duration::from_mins(1);
/// How long a command may take that downloads or installs.
pub const LONG: Duration = Duration::from_mins(30);

impl Subject<'_> {
    /// Where the host keeps its record of this environment (root, 0700).
    #[must_use]
    pub fn state_directory(&self) -> String {
        format!("/var/lib/deployer/{}", self.environment.identity())
    }

    /// Shell assignments every script begins with: `$state`, and `$app` where there is an application.
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

    /// The kinds that are to converge for `stage`.
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

/// Shell for a command that writes one of our small files on the host, whole or not at all.
fn keep(name: &str, content: &str) -> String {
    format!("write_whole \"$state/{name}\" '%s\\n' {}\n", quote(content))
}

/// One script that reads every room in one round trip.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    probe_after(subject, None)
}

/// Returns the script for a look after the step of a kind: it leaves out the engine, which costs a third of Docker's
/// processes, unless that step can have changed it. [`parse_after`] reads its output.
#[must_use]
pub fn probe_after(subject: &Subject<'_>, step: Option<Kind>) -> String {
    let same_engine =
        matches!(step, Some(Kind::Files | Kind::Images | Kind::Firewall | Kind::Services | Kind::Schedules));
    let mut script = subject.preamble();
    for kind in Kind::ALL {
        let fragment = match kind {
            Kind::Infrastructure => continue,
            Kind::Engine if same_engine => continue,
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
        script += &frame::wrap(kind.name(), &fragment);
    }
    script
}

/// Reads a probe's output.
pub fn parse(output: &[u8]) -> Result<HostFacts, Failure> {
    read(output, None)
}

/// Reads the output of a look that may have left out the engine, which then is as it was `before`.
pub fn parse_after(output: &[u8], before: &HostFacts) -> Result<HostFacts, Failure> {
    read(output, Some(before))
}

fn read(output: &[u8], before: Option<&HostFacts>) -> Result<HostFacts, Failure> {
    let frames = frame::split(output);
    let of = |kind: Kind| {
        frames.get(kind.name()).copied().ok_or_else(|| unreadable(kind, "the host's answer ends before it"))
    };
    Ok(HostFacts {
        infrastructure: infrastructure::Seen::default(),
        access: access::parse(of(Kind::Access)?).map_err(|why| unreadable(Kind::Access, &why))?,
        engine: match (of(Kind::Engine), before) {
            (Err(_), Some(before)) => before.engine.clone(),
            (frame, _) => engine::parse(frame?),
        },
        updates: updates::parse(of(Kind::Updates)?),
        scripts: scripts::parse(of(Kind::Scripts)?),
        files: files::parse(of(Kind::Files)?).map_err(|why| unreadable(Kind::Files, &why))?,
        images: images::parse(of(Kind::Images)?),
        firewall: firewall::parse(of(Kind::Firewall)?),
        services: services::parse(of(Kind::Services)?).map_err(|why| unreadable(Kind::Services, &why))?,
        schedules: schedules::parse(of(Kind::Schedules)?),
        backups: backups::parse(of(Kind::Schedules)?),
    })
}

fn unreadable(kind: Kind, why: &str) -> Failure {
    Failure::new(Reason::ProbeUnreadable, format!("The {kind} probe cannot be read: {why}"))
}

/// The facts as they are.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> State {
    state(subject, |kind| match kind {
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

/// The facts as they are to be. Drift that is ignored is as it is to be.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> State {
    let mut desired = state(subject, |kind| wanted(kind, subject, host));
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

/// What is known to fail before anything is changed for this kind.
#[must_use]
pub fn preflight(kind: Kind, subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
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

/// What brings this kind from what was seen to what is wanted.
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
