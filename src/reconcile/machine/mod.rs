//! The machine of a provisioned environment: what OpenTofu is given, what it would do, and that it is done. Never makes
//! one that the plan did not show, and never a second one in place of one that was lost sight of.

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

/// A machine under survey: what OpenTofu would do about it.
pub struct Machine {
    /// OpenTofu's working directory.
    work: Work,
    /// What it would do.
    proposed: Proposed,
    /// Where its state and secrets are kept.
    vault: Arc<Vault>,
    /// The machine's host key.
    keys: Keys,
    /// Whether the machine answers with that key.
    our_host_key: bool,
    /// Whether it would take down instead of build.
    taking_down: bool,
    /// How it is made, for when its entry is gone.
    recipe: String,
    /// The backend of OpenTofu's own that has the state, where one has.
    backend: Option<String>,
}

impl Machine {
    /// What was heard, for the room.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            exists: self.proposed.exists,
            changes: self.proposed.changes.clone(),
            digest: self.proposed.digest.clone(),
            taking_down: self.taking_down,
        }
    }

    /// The key that the machine answers with, where it is ours, and no other.
    #[must_use]
    pub fn host_key(&self) -> Option<String> {
        self.our_host_key.then(|| self.keys.public.clone())
    }

    /// Keeps how the machine is made, so that it can be taken down without its entry.
    async fn remember(&self) -> Result<(), Failure> {
        if self.vault.kept(Plain::Recipe).await?.as_ref() != Some(&self.recipe) {
            self.vault.keep(Plain::Recipe, &self.recipe).await?;
        }
        match &self.backend {
            Some(backend) => self.vault.keep_backend(backend).await,
            None => Ok(()),
        }
    }

    /// Removes what would have been applied: it holds secrets.
    pub fn discard(&self) {
        self.work.discard(&self.proposed);
    }

    /// What stands in for the host's own digest key while there is no host.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.keys.private
    }
}

/// Whether that is proposed for the machine itself.
fn does(proposed: &Proposed, machine: &provision::Machine, action: Action) -> bool {
    proposed.changes.iter().any(|change| change.action == action && is_machine(change, machine))
}

/// Lets an environment know how its machine is reached, as OpenTofu has it. Nothing where it has no address yet.
pub fn reached_at(environment: &mut Environment, outputs: &Outputs) {
    let text = |name: &str| outputs.text(name).filter(|text| !text.is_empty());
    environment.address = text("address").unwrap_or_default();
    environment.ssh.port = text("port").and_then(|port| port.parse().ok()).or(environment.ssh.port);
    environment.ssh.user = text("user").or(environment.ssh.user.take());
    environment.ssh.host_key.extend(text("host_key").filter(|_| environment.ssh.host_key.is_empty()));
}

/// What is worth knowing where the manifest says another way into a machine than the one it was made with, and has.
#[must_use]
pub fn born_otherwise(environment: &Environment) -> Option<String> {
    let provision = environment.provision.as_ref()?;
    // A module says itself how its machine is reached.
    if matches!(provision.machine, provision::Machine::Module(_)) || !differs(&environment.ssh, &provision.login) {
        return None;
    }
    let user = environment.ssh.user.as_deref().unwrap_or(ROOT);
    let port = environment.ssh.port.unwrap_or(SSH);
    Some(format!(
        "The machine was made for {user}, port {port}, and is still reached so; ssh.user and ssh.port of the manifest are \
         for the machine that takes its place"
    ))
}

/// Goes by the manifest again for the way into a machine, and whether that is another one than before.
pub fn as_declared(environment: &mut Environment) -> bool {
    let Some(provision) = &environment.provision else { return false };
    let other = differs(&environment.ssh, &provision.login);
    (environment.ssh.user, environment.ssh.port) = (provision.login.user.clone(), provision.login.port);
    other
}

/// As whom and where a machine lets in that was told nothing else.
const ROOT: &str = "root";
const SSH: u16 = 22;

fn differs(ssh: &Ssh, login: &Login) -> bool {
    let user = |user: &Option<String>| user.clone().unwrap_or_else(|| ROOT.to_owned());
    (user(&ssh.user), ssh.port.unwrap_or(SSH)) != (user(&login.user), login.port.unwrap_or(SSH))
}

/// Lets an environment know how its machine was reached last.
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
