//! One environment as the engine sees it: merged with the defaults, checked, every path absolute. Holds the sources of
//! secrets, not their values.

pub use super::backup::Backup;
pub use super::network::{Network, Protocol};
use super::provision::Provision;
use super::tracker::Tracker;
use crate::manifest::scope::Scope;
use crate::model::failure::Location;
use crate::model::reach::{HostKeys, Reach};
use crate::model::secret::SecretSource;
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

/// Lets a map keyed by `Name` be searched with a `&str`: names order and compare as their text does.
impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One named thing that is deployed to one host.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Name, unique in the manifest.
    pub name: Name,
    /// Project of the environment. Project and name are the environment's identity on the host.
    pub project: Name,
    /// DNS name, IPv4 or IPv6 address of a registered host; empty for a machine that OpenTofu makes.
    pub address: String,
    /// Machine that OpenTofu makes; `None` for a registered host.
    pub provision: Option<Box<Provision>>,
    /// Settings of the SSH connection to the host.
    pub ssh: Ssh,
    /// Further public addresses of the host.
    pub public_addresses: Vec<IpAddr>,
    /// Docker engine that the environment needs.
    pub engine: EngineWish,
    /// Ports that the host's firewall allows in addition to SSH and the application's; `None` if deployer sets up no
    /// firewall.
    pub firewall: Option<FirewallWish>,
    /// Security updates that the host installs by itself, if the manifest asks for them.
    pub security_updates: Option<SecurityUpdates>,
    /// Idempotent steps that the user wrote, in order.
    pub scripts: Vec<Script>,
    /// Commands that the host runs at certain times.
    pub schedules: Vec<Schedule>,
    /// Application of the environment, if any.
    pub application: Option<Application>,
    /// Checks of the running application.
    pub checks: Vec<Check>,
    /// Stage that the environment is brought to.
    pub stage: Stage,
    /// Conditions for the stage `running`.
    pub health: Health,
    /// True if the environment must not be destroyed, false to lift that protection; `None` keeps the recorded
    /// protection.
    pub protect: Option<bool>,
    /// Previous name, which still identifies the environment on the host.
    pub renamed_from: Option<Name>,
    /// True if the environment is no longer in the manifest and known only from the records.
    pub orphaned: bool,
    /// Rollback policy for a release that does not become healthy.
    pub rollback: Rollback,
    /// Number of releases that are kept on the host, including the live one.
    pub keep_releases: usize,
    /// Environments that must be healthy first.
    pub depends_on: Vec<Name>,
    /// Policy for drift, and exceptions from it.
    pub drift: Drift,
}

/// Rollback policy for a release that does not become healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// The last healthy release is restored.
    OnFailure,
    /// The unhealthy release is kept.
    Never,
}

/// Condition for pulling an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// If the host lacks the image.
    Missing,
    /// If the host lacks the image, or if the registry has another image with the same tag.
    Always,
}

/// Settings of an SSH connection to a host.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// TCP port; `None` leaves it to the user's ssh configuration (22).
    pub port: Option<u16>,
    /// Login name; `None` leaves it to the user's ssh configuration.
    pub user: Option<String>,
    /// The private key.
    pub identity: Option<Identity>,
    /// Pinned host keys, each `TYPE BASE64`; empty if no key is pinned.
    pub host_key: Vec<String>,
    /// Jump host, as for `ssh -J`.
    pub jump: Option<String>,
    /// Password for `sudo`, if the host asks for one.
    pub sudo_password: Option<SecretSource>,
    /// Limit of one connection attempt.
    pub connect_timeout: Duration,
    /// Time during which connections to a host that refuses or does not answer are retried.
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

/// Requirements for the Docker engine.
#[derive(Clone, Debug)]
pub struct EngineWish {
    /// Lowest accepted version, major and minor.
    pub minimum: (u32, u32),
    /// True if deployer may install the engine.
    pub install: bool,
    /// Packages that the engine is installed from.
    pub source: EngineSource,
    /// True if containers must see the IPv6 addresses of their peers. `None`: only if deployer installs the engine and
    /// the application is a tracker with IPv6.
    pub ipv6: Option<bool>,
    /// Mirror of Docker's apt repository, used if `source` selects Docker's packages.
    pub repository: Option<EngineRepository>,
}

/// Packages that a Docker engine is installed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineSource {
    /// The distribution's packages if they are new enough, else Docker's.
    Auto,
    /// The distribution's packages.
    Distribution,
    /// Docker's own apt repository.
    Docker,
}

/// A mirror of Docker's apt repository.
#[derive(Clone, Debug)]
pub struct EngineRepository {
    /// URL in the sources entry, before the suite (`https://…/linux/debian`).
    pub url: String,
    /// ASCII-armoured key that signs the repository, as text.
    pub key: String,
}

/// Ports that a host's firewall allows in addition to SSH and the application's published ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallWish {
    /// Further ports, and restrictions on ports that the application publishes.
    pub allow: Vec<Allow>,
}

/// One port that may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The port on the host.
    pub port: u16,
    /// Protocol of the port.
    pub protocol: Protocol,
    /// Networks that may reach the port; empty for everybody.
    pub from: Vec<Network>,
}

/// Security updates that a host installs by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityUpdates {
    /// Time at which the host may restart for updates, `HH:MM` by the host's clock; `None` if it must not restart by
    /// itself.
    pub reboot_at: Option<String>,
}

/// An idempotent step that the user wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Name, unique in the environment.
    pub name: Name,
    /// Shell command that exits 0 if there is nothing to do.
    pub check: String,
    /// Text of the script. The text of a file is filled in when the manifest is loaded.
    pub run: String,
    /// File that the script is read from, absolute.
    pub file: Option<Utf8PathBuf>,
    /// Shell command that undoes the script.
    pub undo: Option<String>,
}

/// A command that a host runs at certain times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Name, unique in the environment.
    pub name: Name,
    /// Time, in the format of systemd's `OnCalendar`.
    pub at: String,
    /// Shell command that is run.
    pub run: String,
}

/// A login at an image registry.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Login name at the registry.
    pub username: String,
    /// Password or token.
    pub password: SecretSource,
}

/// The application of an environment: services that Docker Compose runs, from any source of files.
#[derive(Clone, Debug)]
pub struct Application {
    /// Source of the application's files.
    pub source: Source,
    /// Variables for interpolation and templates.
    pub variables: BTreeMap<String, SecretSource>,
    /// Image name → archive made by `docker save`, absolute path.
    pub archives: BTreeMap<String, Utf8PathBuf>,
    /// Services that run once and end before the old containers are stopped, in order.
    pub before: Vec<String>,
    /// Archives that the host makes of the application's data, if any.
    pub backup: Option<Backup>,
    /// Condition for pulling images.
    pub pull: Pull,
    /// Logins at image registries, by host.
    pub registries: BTreeMap<String, Registry>,
    /// Compose project name on the host.
    pub project: String,
    /// Directory on the host, absolute.
    pub host_directory: Utf8PathBuf,
    /// Files of this machine that are never sent, as absolute paths: the manifest, keys, sources of secrets, the store.
    pub withheld: Arc<BTreeSet<Utf8PathBuf>>,
    /// Part of this machine's disk that the application's files may be in.
    pub scope: Arc<Scope>,
}

/// Source of an application's files.
#[derive(Clone, Debug)]
pub enum Source {
    /// A directory with the user's Compose files.
    Compose(Compose),
    /// The Torrust tracker stack, rendered from its section; boxed because it is large.
    Tracker(Box<Tracker>),
}

/// A Docker Compose application.
#[derive(Clone, Debug)]
pub struct Compose {
    /// Directory of the application on this machine.
    pub directory: Utf8PathBuf,
    /// Compose files, relative to the directory. If empty, the files that docker compose finds there.
    pub files: Vec<String>,
    /// True if `*.tera` files are rendered.
    pub templates: bool,
    /// Globs of files that are sent once and then belong to the host.
    pub seed: Vec<Pattern>,
    /// Links that may lead outside the directory, relative to it.
    pub links: Vec<String>,
    /// Paths of links that a review replaced by copies of their targets, since a review creates no links.
    pub copies: BTreeSet<Utf8PathBuf>,
    /// Globs of rendered files with secrets that every user in a container may read.
    pub readable: Vec<String>,
}

/// A glob and its position in the manifest.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The glob as written.
    pub text: String,
    /// Position in the manifest, if the glob was written there.
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
    /// Returns the directory on this machine that the application's files come from, if there is one.
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
    /// Name, unique in the environment.
    pub name: String,
    /// Request that the check makes.
    pub probe: CheckProbe,
    /// Machine that the check runs on.
    pub from: Vantage,
    /// True if the stage `running` waits for the check.
    pub gate: bool,
}

/// Request that a check makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckProbe {
    /// An HTTP request.
    Http {
        /// TCP port on the host.
        port: u16,
        /// Path with query, beginning with `/`.
        path: String,
        /// Status that the response must have.
        status: u16,
        /// Text that the body must contain.
        contains: Option<String>,
        /// True if the request uses TLS.
        tls: bool,
        /// `Host` header; the address if absent.
        host: Option<String>,
    },
    /// A TCP port that must accept a connection.
    Tcp(u16),
}

/// Machine that a check runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// The host, against its loopback address.
    Host,
    /// The machine that runs deployer, against the environment's address.
    Runner,
}

/// Conditions for the stage `running`.
#[derive(Clone, Debug)]
pub struct Health {
    /// Time that services may take to become healthy.
    pub timeout: Duration,
    /// Time that a service without a health check must run without a restart.
    pub stable_for: Duration,
    /// True if a release of a tracker stack must also pass its smoke tests.
    pub smoke: bool,
}

/// Policy for drift, and exceptions from it. Drift is a difference that nobody asked for in the manifest.
#[derive(Clone, Debug)]
pub struct Drift {
    /// Policy for facts that are not ignored.
    pub policy: DriftPolicy,
    /// Facts that are not corrected on the host.
    pub ignore: Vec<Ignore>,
}

/// Policy for drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftPolicy {
    /// Apply and watch correct drift.
    Correct,
    /// Drift is shown but not corrected.
    Detect,
}

/// A fact that is not corrected on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignore {
    /// Kind of the fact.
    pub kind: Kind,
    /// Name of the fact; a `*` at the end matches any rest.
    pub fact: String,
    /// Reason for not correcting the fact.
    pub reason: String,
    /// True if watch stopped correcting the fact, false if the manifest ignores it.
    pub quarantined: bool,
}

impl Ignore {
    /// Returns true if the rule matches this fact.
    #[must_use]
    pub fn covers(&self, kind: Kind, fact: &str) -> bool {
        let named = || self.fact.strip_suffix('*').map_or(self.fact == fact, |start| fact.starts_with(start));
        self.kind == kind && named()
    }
}

/// The maximum length of a name (bytes).
const LONGEST_NAME: usize = 40;

impl Name {
    /// Parses and checks a name.
    ///
    /// # Errors
    /// The rule for names, with a similar valid name, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= LONGEST_NAME
            && text.bytes().all(plain)
            && !text.ends_with('-')
            && !text.contains("--");
        if valid {
            return Ok(Self(text.to_owned()));
        }
        let rule =
            "A name begins with a lower-case letter and has at most 40 lower-case letters, digits and single dashes";
        Err(Self::similar(text).map_or_else(|| rule.to_owned(), |name| format!("{rule}, such as `{name}`")))
    }

    /// Returns a valid name that is similar to an invalid one.
    fn similar(text: &str) -> Option<String> {
        let lower = text.to_lowercase();
        let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let name = words.collect::<Vec<_>>().join("-");
        let name = name.trim_start_matches(|first: char| !first.is_ascii_lowercase());
        let name = name.get(..LONGEST_NAME.min(name.len()))?.trim_end_matches('-');
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Returns a valid name in place of an invalid one, so that the rest can still be checked.
    #[must_use]
    pub(super) fn stand_in(text: &str) -> Self {
        let letters = text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_lowercase()));
        Self(std::iter::once('e').chain(letters).take(40).collect())
    }

    /// Returns the name as text.
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
    /// Returns the way to a host at this address.
    #[must_use]
    pub fn reach(&self, address: &str) -> Reach {
        let keys = self.host_key.clone();
        let keys = if keys.is_empty() { HostKeys::Recorded(keys) } else { HostKeys::Pinned(keys) };
        Reach { address: address.to_owned(), port: self.port, user: self.user.clone(), keys }
    }

    /// Returns the source of the private key's text, if the identity is a secret.
    #[must_use]
    pub fn key_source(&self) -> Option<&SecretSource> {
        match &self.identity {
            Some(Identity::Secret(source)) => Some(source),
            _ => None,
        }
    }
}

/// Identifies a host by its address, SSH port and jump host. The same address behind another jump host can be a
/// different host.
pub type HostId = (String, u16, Option<String>);

impl Environment {
    /// Returns one form for all spellings of the registered host.
    #[must_use]
    pub fn host(&self) -> HostId {
        (normal(&self.address), self.ssh.port.unwrap_or(22), self.ssh.jump.clone())
    }

    /// Returns the environment's identity on the host, `PROJECT--ENV`. A rename does not change it.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}--{}", self.project, self.renamed_from.as_ref().unwrap_or(&self.name))
    }
}

/// Returns one form for all spellings of an address, for comparison.
fn normal(address: &str) -> String {
    let lower = address.trim_end_matches('.').to_ascii_lowercase();
    lower.parse::<IpAddr>().map_or(lower, |ip| ip.to_canonical().to_string())
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn the_spellings_of_a_host_are_one() {
        assert_eq!(normal("Host.Example.COM."), "host.example.com");
        assert_eq!(normal("2001:DB8:0::7"), normal("2001:db8::7"));
    }
}
