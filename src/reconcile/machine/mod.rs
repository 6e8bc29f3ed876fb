//! The machine of a provisioned environment: OpenTofu's inputs, its plan, and the apply of that plan. Makes only
//! machines that the plan shows, and does not make a second machine in place of a lost one.

mod adopt;
mod ask;
mod cloud_init;
mod ed25519;
pub mod inputs;
mod keys;
mod make;
pub(crate) mod recipe;
mod shown;
mod workshop;

pub use keys::Keys;
pub use make::carry_out;
pub use workshop::{Tools, Workshop};

use crate::io::opentofu::{Action, Outputs, Proposed, Vault, Work};
use crate::io::store::{Plain, Record};
use crate::manifest::environment::{Environment, Ssh};
use crate::manifest::provision::{self, Login};
use crate::model::failure::Failure;
use crate::resource::infrastructure::{Seen, is_machine};
use std::sync::Arc;

/// A surveyed machine with OpenTofu's plan for it.
pub struct Machine {
    work: Work,
    proposed: Proposed,
    /// The vault of its state and secrets.
    vault: Arc<Vault>,
    /// The machine's host key.
    keys: Keys,
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
    async fn remember(&self) -> Result<(), Failure> {
        if self.vault.kept(Plain::Recipe).await?.as_ref() != Some(&self.recipe) {
            self.vault.keep(Plain::Recipe, &self.recipe).await?;
        }
        match &self.backend {
            Some(backend) => self.vault.keep_backend(backend).await,
            None => Ok(()),
        }
    }

    /// Removes the saved plan, because it contains secrets.
    pub fn discard(&self) {
        self.work.discard(&self.proposed);
    }

    /// Returns the secret that replaces the host's own digest key while there is no host.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.keys.private
    }
}

/// Returns true if that action is proposed for the machine itself.
fn does(proposed: &Proposed, machine: &provision::Machine, action: Action) -> bool {
    proposed.changes.iter().any(|change| change.action == action && is_machine(change, machine))
}

/// Sets how an environment's machine is reached, from OpenTofu's outputs. The address is empty if the machine has none
/// yet.
pub fn reached_at(environment: &mut Environment, outputs: &Outputs) {
    let text = |name: &str| outputs.text(name).filter(|text| !text.is_empty());
    environment.address = text("address").unwrap_or_default();
    environment.ssh.port = text("port").and_then(|port| port.parse().ok()).or(environment.ssh.port);
    environment.ssh.user = text("user").or(environment.ssh.user.take());
    environment.ssh.host_key.extend(text("host_key").filter(|_| environment.ssh.host_key.is_empty()));
}

/// Returns a warning if the manifest's SSH user or port differs from that of the machine, which keeps those that it was
/// made with.
#[must_use]
pub fn born_otherwise(environment: &Environment) -> Option<String> {
    let provision = environment.provision.as_ref()?;
    // The outputs of a module define how its machine is reached.
    if matches!(provision.machine, provision::Machine::Module(_)) || !differs(&environment.ssh, &provision.login) {
        return None;
    }
    let user = environment.ssh.user.as_deref().unwrap_or(ROOT);
    let port = environment.ssh.port.unwrap_or(SSH);
    Some(format!(
        "The machine was made for {user}, port {port}, and is still reached that way; ssh.user and ssh.port of the \
         manifest apply to its replacement"
    ))
}

/// Sets the SSH user and port to those of the manifest. Returns true if they were different before.
pub fn as_declared(environment: &mut Environment) -> bool {
    let Some(provision) = &environment.provision else { return false };
    let other = differs(&environment.ssh, &provision.login);
    (environment.ssh.user, environment.ssh.port) = (provision.login.user.clone(), provision.login.port);
    other
}

/// The SSH user and port of a machine whose manifest sets neither.
const ROOT: &str = "root";
const SSH: u16 = 22;

fn differs(ssh: &Ssh, login: &Login) -> bool {
    let user = |user: &Option<String>| user.clone().unwrap_or_else(|| ROOT.to_owned());
    (user(&ssh.user), ssh.port.unwrap_or(SSH)) != (user(&login.user), login.port.unwrap_or(SSH))
}

/// Sets how an environment's machine was reached last.
pub fn recall(environment: &mut Environment, record: &Record) {
    if environment.provision.is_none() {
        return;
    }
    environment.address.clone_from(&record.address);
    if let Some(reach) = &record.reach {
        environment.ssh.port = reach.port.or(environment.ssh.port);
        environment.ssh.user = reach.user.clone().or(environment.ssh.user.take());
    }
}
