//! One environment as the engine sees it: merged with the defaults, checked, every path absolute.
//! Never holds a secret's value, only where to read it.

pub use super::backup::Backup;
pub use super::network::{Network, Protocol};
use super::provision::Provision;
use super::tracker::Tracker;
use crate::io::secret::SecretSource;
use crate::manifest::scope::Scope;
use crate::model::failure::Location;
use crate::model::state::{Kind, Stage};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A checked name: `[a-z]([a-z0-9-]{0,38}[a-z0-9])?`, no `--`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// It is ordered and compared as its text is, so maps are asked without making one.
impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One named thing that is deployed to.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name, unique in the manifest.
    pub name: Name,
    /// The project it belongs to; with the name, its identity on the host.
    pub project: Name,
    /// DNS name, IPv4 or IPv6 address of the host; empty while a machine that is to be made has none.
    pub address: String,
    /// What makes the machine; `None` where it exists, registered.
    pub provision: Option<Box<Provision>>,
    /// How to reach it.
    pub ssh: Ssh,
    /// Further addresses under which the public reaches it.
    pub public_addresses: Vec<IpAddr>,
    /// Which Docker engine it needs.
    pub engine: EngineWish,
    /// What its host's firewall is to allow beside the usual; `None` where it is to have none from us.
    pub firewall: Option<FirewallWish>,
    /// The security updates that the host is to install by itself, if it was asked to.
    pub security_updates: Option<SecurityUpdates>,
    /// Idempotent steps of the user's own, in their order.
    pub scripts: Vec<Script>,
    /// What the host does at certain times.
    pub schedules: Vec<Schedule>,
    /// What runs there, if anything.
    pub application: Option<Application>,
    /// Checks of the running application.
    pub checks: Vec<Check>,
    /// How far its lifecycle is to go.
    pub stage: Stage,
    /// When `running` counts.
    pub health: Health,
    /// Whether it may be destroyed; `None` leaves that as it is.
    pub protect: Option<bool>,
    /// The name it had before, under which it lies on the host.
    pub renamed_from: Option<Name>,
    /// Whether it is no longer in the manifest, known only from what is recorded.
    pub orphaned: bool,
    /// What becomes of a release that does not become healthy.
    pub rollback: Rollback,
    /// How many releases stay on the host, the live one among them.
    pub keep_releases: usize,
    /// Environments that must be healthy first.
    pub depends_on: Vec<Name>,
    /// What happens to differences that nobody asked for.
    pub drift: Drift,
}

/// What becomes of a release that does not become healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// The last healthy one comes back.
    OnFailure,
    /// It stays as it is.
    Never,
}

/// When images are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// Where the host lacks them.
    Missing,
    /// Also where their registry has another one under the same tag.
    Always,
}

/// How to reach a host over SSH.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// TCP port; `None` leaves it to the user's ssh configuration (22).
    pub port: Option<u16>,
    /// Login name; `None` leaves it to the user's ssh configuration.
    pub user: Option<String>,
    /// The private key.
    pub identity: Option<Identity>,
    /// Pinned host keys, each `TYPE BASE64`; empty where none is pinned.
    pub host_key: Vec<String>,
    /// Jump host, as for `ssh -J`.
    pub jump: Option<String>,
    /// For a sudo that asks.
    pub sudo_password: Option<SecretSource>,
    /// Limit of one connection attempt.
    pub connect_timeout: Duration,
    /// How long refused and silent hosts are tried again.
    pub wait: Duration,
}

/// A private key: a file, or a secret that holds the key itself.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Path of a private key, `~` expanded.
    File(Utf8PathBuf),
    /// The key's text.
    Secret(SecretSource),
}

/// Which Docker engine is wanted.
#[derive(Clone, Debug)]
pub struct EngineWish {
    /// The lowest version that is good enough, major and minor.
    pub minimum: (u32, u32),
    /// Whether deployer may install it.
    pub install: bool,
    /// Where it is installed from.
    pub source: EngineSource,
    /// Whether containers see true IPv6 addresses; `None`: where deployer installs the engine and they need it.
    pub ipv6: Option<bool>,
    /// A mirror of Docker's apt repository, used instead of the original where `source` leads there.
    pub repository: Option<EngineRepository>,
}

/// Where a Docker engine is installed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineSource {
    /// The distribution's packages where they are new enough, else Docker's.
    Auto,
    /// The distribution's packages.
    Distribution,
    /// Docker's own apt repository.
    Docker,
}

/// A mirror of Docker's apt repository.
#[derive(Clone, Debug)]
pub struct EngineRepository {
    /// What stands in the sources entry, before the suite (`https://…/linux/debian`).
    pub url: String,
    /// The ASCII-armoured key that signs it, as text.
    pub key: String,
}

/// What a host's firewall is to allow beside SSH and what the application publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallWish {
    /// Further ports, and ports of the application that not everybody may reach.
    pub allow: Vec<Allow>,
}

/// One port that may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The port on the host.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Who may reach it; empty: everybody.
    pub from: Vec<Network>,
}

/// Security updates that a host installs by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityUpdates {
    /// When it may restart for them, `HH:MM` of its own clock; `None`: never by itself.
    pub reboot_at: Option<String>,
}

/// An idempotent step of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its name, unique in the environment.
    pub name: Name,
    /// Shell that exits 0 when nothing is to be done.
    pub check: String,
    /// What does it; a file's text is filled in when the manifest is loaded.
    pub run: String,
    /// The file it is read from, absolute.
    pub file: Option<Utf8PathBuf>,
    /// Shell that takes it back.
    pub undo: Option<String>,
}

/// Something a host does at certain times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its name, unique in the environment.
    pub name: Name,
    /// When, as systemd's `OnCalendar` says it.
    pub at: String,
    /// Shell that does it.
    pub run: String,
}

/// A login at a registry of images.
#[derive(Clone, Debug)]
pub struct Registry {
    /// The user there.
    pub username: String,
    /// The password or token.
    pub password: SecretSource,
}

/// What runs in an environment: services that Docker Compose runs, wherever their files come from.
#[derive(Clone, Debug)]
pub struct Application {
    /// Where its files come from.
    pub source: Source,
    /// Variables for interpolation and templates.
    pub variables: BTreeMap<String, SecretSource>,
    /// Image name → archive made by `docker save`, absolute.
    pub archives: BTreeMap<String, Utf8PathBuf>,
    /// Services that run once and end before the old containers are stopped, in their order.
    pub before: Vec<String>,
    /// The archives that its host makes of its data, if it does.
    pub backup: Option<Backup>,
    /// When images are pulled.
    pub pull: Pull,
    /// Logins at registries, by host.
    pub registries: BTreeMap<String, Registry>,
    /// Compose project name on the host.
    pub project: String,
    /// The directory on the host, absolute.
    pub host_directory: Utf8PathBuf,
    /// Files of this machine that are never sent, absolute: the manifest, keys, sources of secrets, the store.
    pub withheld: Arc<BTreeSet<Utf8PathBuf>>,
    /// Where its files may be on this machine.
    pub scope: Arc<Scope>,
}

/// Where the files of an application come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A directory of the user's own.
    Compose(Compose),
    /// The Torrust tracker stack, made from its section; boxed, because it is large.
    Tracker(Box<Tracker>),
}

/// A Docker Compose application.
#[derive(Clone, Debug)]
pub struct Compose {
    /// Its directory on this machine.
    pub directory: Utf8PathBuf,
    /// Compose files, relative to the directory; empty: what docker compose would find there.
    pub files: Vec<String>,
    /// Whether `*.tera` files are rendered.
    pub templates: bool,
    /// Globs of files that are sent once and then belong to the host.
    pub seed: Vec<Pattern>,
    /// Links that may lead outside the directory, relative to it.
    pub links: Vec<String>,
    /// Those of a review, which makes no link: each stands as a copy of what it leads to.
    pub copies: BTreeSet<Utf8PathBuf>,
    /// Globs of rendered files with secrets that every user in a container may read.
    pub readable: Vec<String>,
}

/// A glob, and its place in the manifest.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written.
    pub text: String,
    /// Its place, if it was written.
    pub place: Option<Location>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { text, place: None }
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

impl Application {
    /// The directory on this machine that its files come from, where they do.
    #[must_use]
    pub fn directory(&self) -> Option<&Utf8Path> {
        match &self.source {
            Source::Compose(compose) => Some(&compose.directory),
            Source::Tracker(_) => None,
        }
    }
}

/// One check of the running application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, unique in the environment.
    pub name: String,
    /// What is asked.
    pub probe: CheckProbe,
    /// From where.
    pub from: Vantage,
    /// Whether `running` waits for it.
    pub gate: bool,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckProbe {
    /// An HTTP request.
    Http {
        /// TCP port on the host.
        port: u16,
        /// Path with query, beginning with `/`.
        path: String,
        /// The status that passes.
        status: u16,
        /// Text the body must hold.
        contains: Option<String>,
        /// Whether to speak TLS.
        tls: bool,
        /// `Host` header; the address where absent.
        host: Option<String>,
    },
    /// A TCP connection that opens.
    Tcp(u16),
}

/// Where a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// On the host, against its loopback.
    Host,
    /// On the machine that runs deployer, against the environment's address.
    Runner,
}

/// When `running` counts.
#[derive(Clone, Debug)]
pub struct Health {
    /// How long services may take to become healthy.
    pub timeout: Duration,
    /// How long a service without a health check must be up without a restart.
    pub stable_for: Duration,
    /// Whether a release of a tracker stack must also pass its tests.
    pub smoke: bool,
}

/// What happens to differences that nobody asked for in the manifest.
#[derive(Clone, Debug)]
pub struct Drift {
    /// Whether they are corrected.
    pub policy: DriftPolicy,
    /// Facts that are left as they are on the host.
    pub ignore: Vec<Ignore>,
}

/// Whether drift is corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftPolicy {
    /// Apply and watch put things back.
    Correct,
    /// It is shown and left as it is.
    Detect,
}

/// A fact that is left as it is on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignore {
    /// Its kind.
    pub kind: Kind,
    /// Its name; a `*` at the end stands for any rest.
    pub fact: String,
    /// Why.
    pub reason: String,
    /// Whether it was watch that gave it up, not the manifest.
    pub quarantined: bool,
}

impl Ignore {
    /// Whether it is about this fact.
    #[must_use]
    pub fn covers(&self, kind: Kind, fact: &str) -> bool {
        let named = || self.fact.strip_suffix('*').map_or(self.fact == fact, |start| fact.starts_with(start));
        self.kind == kind && named()
    }
}

impl Name {
    /// Checks a name; the error says which rule it breaks.
    ///
    /// # Errors
    /// The broken rule, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rule = if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            "a name starts with a lower-case letter"
        } else if text.len() > 40 {
            "a name has at most 40 characters"
        } else if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            "a name holds lower-case letters, digits and dashes only"
        } else if text.ends_with('-') {
            "a name does not end with a dash"
        } else if text.contains("--") {
            "a name holds no double dash"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(rule.to_owned())
    }

    /// A valid name that stands in for one that is not, so that the rest can still be checked.
    #[must_use]
    pub(super) fn stand_in(text: &str) -> Self {
        let letters = text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_lowercase()));
        Self(std::iter::once('e').chain(letters).take(40).collect())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl Ssh {
    /// Where the private key's text is read from, where the identity is a secret.
    #[must_use]
    pub fn key_source(&self) -> Option<&SecretSource> {
        match &self.identity {
            Some(Identity::Secret(source)) => Some(source),
            _ => None,
        }
    }
}

impl Environment {
    /// `PROJECT--ENV`: its identity on the host. A new name does not move what lies there.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}--{}", self.project, self.renamed_from.as_ref().unwrap_or(&self.name))
    }
}
