//! Asks OpenTofu for its plan for a machine. Changes no machine.

use super::adopt::{self, Search};
use super::inputs::{self, Inputs, Surroundings};
use super::keys::{self, Keys};
use super::provisioner::{Provisioner, secrets};
use super::{Machine, does, reached_at, recipe};
use crate::io::opentofu::{Action, Backend, Proposed, Purpose, ResourceChange, Say, Vault, Work};
use crate::io::store::Plain;
use crate::manifest::environment::Environment;
use crate::manifest::provision::Provision;
use crate::model::event::{Event, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::secret::Redactor;
use crate::reconcile::prepare::Prepared;
use secrecy::SecretString;
use std::sync::Arc;
use zeroize::Zeroizing;

/// OpenTofu with all its inputs.
struct Ready {
    work: Work,
    inputs: Inputs,
    keys: Keys,
    vault: Arc<Vault>,
    /// True if the creation of the machine was started before.
    tried: bool,
}

impl Provisioner {
    /// Plans the machine of an environment and sets the way to it. Returns `None` if deployer does not
    /// make the environment's machine.
    ///
    /// # Errors
    /// As [`Work::plan`]; `StateFleeting`; and the errors of missing secrets and keys.
    pub async fn survey(
        &self,
        prepared: &mut Prepared,
        taking_down: bool,
        sink: &Sink,
    ) -> Result<Option<Machine>, Failure> {
        let Some(provision) = prepared.environment.provision.clone() else { return Ok(None) };
        if self.tools.fleeting && provision.backend.is_none() {
            let message = "The state of the machine would be lost with this CI runner";
            let hint =
                "Keep the store where the next run finds it and pass --allow-local-state, or set provisioned.backend";
            return Err(Failure::new(Reason::StateFleeting, message).hint(hint));
        }
        let name = prepared.name().to_owned();
        let say = |activity: String| sink(Event::Progress { environment: name.clone(), kind: None, activity });
        let warn = |message: String| sink(Event::Warning { environment: Some(name.clone()), message });
        let mut ready = self.ready(prepared, &provision, taking_down).await?;
        let proposed = self.propose(&mut ready, &prepared.environment, &provision, taking_down, &say).await?;
        let Ready { work, inputs, keys, vault, .. } = ready;
        elsewhere(&proposed).into_iter().for_each(warn);
        // If something changes, the outputs in the plan may be those after the change.
        let outputs = if proposed.changes.is_empty() { proposed.outputs.clone() } else { work.outputs(&say).await? };
        prepared.reach = reached_at(prepared.reach.clone(), &outputs);
        let recipe = recipe::write(&provision);
        let backend = provision.backend.map(|(name, _)| name);
        let our_host_key = inputs.our_host_key;
        let machine = Machine { work, proposed, vault, keys, our_host_key, taking_down, recipe, backend };
        if machine.proposed.exists && machine.proposed.changes.is_empty() && !taking_down {
            // The recipe may differ from the one of the last apply, even if the machine is the same.
            machine.remember().await?;
        }
        Ok(Some(machine))
    }

    async fn ready(&self, prepared: &Prepared, provision: &Provision, taking_down: bool) -> Result<Ready, Failure> {
        let environment = &prepared.environment;
        let vault = self.vault(environment, provision).await?;
        let kept = vault.kept(Plain::HostKey).await?;
        let tried = kept.is_some();
        let planned = if tried { None } else { vault.kept(Plain::PlannedKey).await? };
        let keys = match kept.or(planned) {
            Some(text) => Keys::parse(&Zeroizing::new(text))?,
            None => Keys::make()?,
        };
        let secrets = secrets(provision).await?;
        let authorized = match keys::authorized(environment).await {
            // After the machine is destroyed, no user logs in any more.
            Err(_) if taking_down => String::new(),
            authorized => authorized?,
        };
        let directory = self.own_place(environment, &vault).await?;
        let around = Surroundings { authorized: &authorized, keys: &keys, secrets: &secrets, directory: &directory };
        let inputs = inputs::of(environment, provision, &around)?;
        let hidden: Vec<SecretString> = secrets.into_values().chain([keys.private.clone()]).collect();
        // The output of hosts and error messages must not show these secrets either.
        prepared.redactor.learn(&hidden);
        let work = Work {
            tofu: self.tofu().await?,
            directory,
            files: inputs.files.clone(),
            variables: inputs.variables.clone(),
            backend: match &provision.backend {
                None => Backend::Own(Arc::clone(&vault)),
                Some(_) => Backend::Theirs(Arc::clone(&vault)),
            },
            redactor: Arc::new(Redactor::new(&hidden)),
            holder: self.holder.clone(),
            limit: provision.timeout,
            plugins: self.tools.plugins.clone(),
            settings: self.tools.settings.clone(),
        };
        Ok(Ready { work, inputs, keys, vault, tried })
    }

    /// Plans the change, after adopting a machine that a killed run left behind. A machine that is replaced is planned
    /// again with the current user and keys.
    async fn propose(
        &self,
        ready: &mut Ready,
        environment: &Environment,
        provision: &Provision,
        taking_down: bool,
        say: &Say<'_>,
    ) -> Result<Proposed, Failure> {
        let purpose = if taking_down { Purpose::Destroy } else { Purpose::Apply };
        let mut proposed = ready.work.plan(purpose, say).await?;
        if ready.tried && adopt::is_lost(&proposed, &provision.machine, taking_down) {
            let name = &environment.name;
            // The state that the search needs while it runs is kept separate from the machine's own.
            let vault = Vault::open(self.store()?, environment.project.as_str(), &format!("{name} search"), None);
            let search = Search { environment, provision, inputs: &ready.inputs, vault: Arc::new(vault) };
            let (planned, found) = search.adopt(&mut ready.work, proposed, purpose, say).await?;
            if found && taking_down {
                let message = "A run that was killed made the machine, but OpenTofu's state does not contain it yet";
                let back = if environment.orphaned { "Put its entry back: " } else { "" };
                let hint = format!("{back}run deployer provision {name} to adopt it, then destroy it");
                return Err(Failure::new(Reason::ProvisionFailed, message).hint(hint));
            }
            proposed = planned;
        }
        let replaced = does(&proposed, &provision.machine, Action::Replace);
        if replaced && ready.work.files.remove(inputs::KEPT).is_some() {
            proposed = ready.work.plan(purpose, say).await?;
        }
        Ok(proposed)
    }
}

/// Describes changes that deployer did not make, of resources that the plan changes. Other drift is not reported: a
/// provider may merely return a different value.
fn elsewhere(proposed: &Proposed) -> Vec<String> {
    let concerns = |drift: &&ResourceChange| proposed.changes.iter().any(|change| change.address == drift.address);
    let words = |drift: &ResourceChange| {
        if drift.action == Action::Delete {
            return format!("{} was deleted, but not by deployer", drift.address);
        }
        let paths: Vec<&str> = drift.attributes.iter().map(|attribute| attribute.path.as_str()).collect();
        format!("{} was changed, but not by deployer: {}", drift.address, paths.join(", "))
    };
    proposed.drift.iter().filter(concerns).map(words).collect()
}
