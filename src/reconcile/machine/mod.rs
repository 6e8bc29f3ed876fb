//! The machine of a provisioned environment: OpenTofu's inputs, its plan, and the apply of that plan. Makes only
//! machines that the plan shows, and does not make a second machine in place of a lost one.

mod adopt;
mod ask;
mod bound;
mod cloud_init;
mod ed25519;
pub mod inputs;
mod keys;
mod provisioner;
pub(crate) mod recipe;
mod shown;

pub use keys::Keys;
pub use provisioner::{Provisioner, Tools};

use crate::io::opentofu::{Action, Outputs, Proposed, Vault, Work};
use crate::io::store::{Plain, Record};
use crate::manifest::environment::Environment;
use crate::manifest::provision::{self, Login};
use crate::model::failure::Failure;
use crate::model::reach::{HostKeys, Reach};
use crate::resource::infrastructure::{Seen, is_machine};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;

/// A surveyed machine with OpenTofu's plan for it.
pub struct Machine {
    pub(super) work: Work,
    pub(super) proposed: Proposed,
    /// The vault of its state and secrets.
    pub(super) vault: Arc<Vault>,
    /// The machine's host key.
    pub(super) keys: Keys,
    /// True if the machine answers with that key.
    our_host_key: bool,
    /// True if the plan destroys the machine instead of making it.
    taking_down: bool,
    /// The recipe that destroys the machine after its entry left the manifest.
    recipe: String,
    /// The name of the OpenTofu backend that holds the state, if it is not deployer's store.
    backend: Option<String>,
}

impl Machine {
    /// Returns the facts of the survey for [`crate::resource::infrastructure`].
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            exists: self.proposed.exists,
            changes: self.proposed.changes.clone(),
            digest: self.proposed.digest.clone(),
            taking_down: self.taking_down,
        }
    }

    /// Returns the only key that the machine may answer with, if deployer made that key.
    #[must_use]
    pub fn host_key(&self) -> Option<String> {
        self.our_host_key.then(|| self.keys.public.clone())
    }

    /// Saves the recipe of the machine, so that it can be destroyed without its entry.
    pub(super) async fn remember(&self) -> Result<(), Failure> {
        if self.vault.kept(Plain::Recipe).await?.as_ref() != Some(&self.recipe) {
            self.vault.keep(Plain::Recipe, &self.recipe).await?;
        }
        match &self.backend {
            Some(backend) => self.vault.keep_backend(backend).await,
            None => Ok(()),
        }
    }

    /// Keeps the host key of a machine that does not exist yet, so that the apply of a saved plan has the same one.
    pub async fn keep_planned_key(&self) -> Result<(), Failure> {
        self.vault.keep(Plain::PlannedKey, self.keys.text().expose_secret()).await
    }

    /// Removes the saved plan, because it contains secrets.
    pub fn discard(&self) {
        self.work.discard(&self.proposed);
    }

    /// Returns the secret that replaces the host's own digest key while there is no host.
    #[must_use]
    pub const fn secret(&self) -> &SecretString {
        &self.keys.private
    }
}

/// Returns true if that action is proposed for the machine itself.
fn does(proposed: &Proposed, machine: &provision::Machine, action: Action) -> bool {
    proposed.changes.iter().any(|change| change.action == action && is_machine(change, machine))
}

/// Returns the way to a machine by OpenTofu's outputs. The address is empty if the machine has none yet.
pub(super) fn reached_at(reach: Reach, outputs: &Outputs) -> Reach {
    let text = |name: &str| outputs.text(name).filter(|text| !text.is_empty());
    Reach {
        address: text("address").unwrap_or_default(),
        port: text("port").and_then(|port| port.parse().ok()).or(reach.port),
        user: text("user").or(reach.user),
        keys: match (reach.keys, text("host_key")) {
            (HostKeys::Recorded(_), Some(key)) => HostKeys::Pinned(vec![key]),
            (keys, _) => keys,
        },
    }
}

/// Returns a warning if the manifest's SSH user or port differs from that of the machine, which keeps those that it was
/// made with.
#[must_use]
pub fn born_otherwise(environment: &Environment, reach: &Reach) -> Option<String> {
    let provision = environment.provision.as_ref()?;
    // The outputs of a module define how its machine is reached.
    if matches!(provision.machine, provision::Machine::Module(_)) || !differs(reach, &provision.login) {
        return None;
    }
    let user = reach.user.as_deref().unwrap_or(ROOT);
    let port = reach.port.unwrap_or(SSH);
    Some(format!(
        "The machine was made for {user}, port {port}, and is still reached that way; ssh.user and ssh.port of the \
         manifest apply to its replacement"
    ))
}

/// Returns the way to a machine with the SSH user and port of the manifest, if that is another way.
#[must_use]
pub fn as_declared(environment: &Environment, reach: &Reach) -> Option<Reach> {
    let login = &environment.provision.as_ref()?.login;
    differs(reach, login).then(|| Reach { user: login.user.clone(), port: login.port, ..reach.clone() })
}

/// The SSH user and port of a machine whose manifest sets neither.
const ROOT: &str = "root";
const SSH: u16 = 22;

fn differs(reach: &Reach, login: &Login) -> bool {
    let user = |user: &Option<String>| user.clone().unwrap_or_else(|| ROOT.to_owned());
    (user(&reach.user), reach.port.unwrap_or(SSH)) != (user(&login.user), login.port.unwrap_or(SSH))
}

/// Returns the way on which an environment's host was reached last. The manifest defines the way to a registered host,
/// except its recorded keys.
#[must_use]
pub fn recalled(environment: &Environment, reach: Reach, record: &Record) -> Reach {
    let reach = reach.recording(&record.host_keys);
    if environment.provision.is_none() {
        return reach;
    }
    let (port, user) = record.reach.as_ref().map(|entry| (entry.port, entry.user.clone())).unwrap_or_default();
    Reach { address: record.address.clone(), port: port.or(reach.port), user: user.or(reach.user), ..reach }
}
