//! Environments and machines that are recorded but no longer in the manifest: prints warnings, and selects them only if
//! the user asks for their destruction by name.

use super::Pass;
use crate::manifest::environment::Environment;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::reconcile::{orphan, status};

impl Pass {
    /// Warns of environments that are recorded but no longer in the manifest. Refuses a manifest without any
    /// environments while some are recorded. An environment that was only looked at has nothing on its host.
    pub async fn orphans(&self) -> Result<(), Failure> {
        let mut left: Vec<&String> = self.records.keys().filter(|name| !self.knows(name)).collect();
        // Reads the store only if there are such environments, which is rare.
        let machines = if left.is_empty() { Vec::new() } else { self.machines().await? };
        left.retain(|name| machines.contains(name) || self.records.get(*name).is_some_and(status::was_applied));
        if self.manifest.environments.is_empty() && !left.is_empty() {
            let names = left.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("{} has no environments, but these are recorded: {names}", self.manifest.file);
            return Err(Failure::new(Reason::ManifestEmptied, message));
        }
        for name in left {
            let does = if machines.contains(name) { "destroys its machine" } else { "removes it from its host" };
            let message = format!(
                "is no longer in the manifest but is still recorded. Nothing was changed. deployer destroy {name} \
                 {does}"
            );
            (self.sink)(Event::Warning { environment: Some(name.clone()), message });
        }
        Ok(())
    }

    /// Warns of machines that deployer made for environments that are no longer provisioned.
    pub(super) async fn left_machines(&self) -> Result<(), Failure> {
        let environments = &self.manifest.environments;
        let ours = |environment: &Environment| environment.provision.is_some();
        let former = |name: &str| {
            environments
                .values()
                .any(|one| ours(one) && one.renamed_from.as_ref().is_some_and(|it| it.as_str() == name))
        };
        let kept = |name: &str| environments.get(name).is_some_and(ours) || former(name);
        let orphaned = |name: &str| self.records.contains_key(name) && !self.knows(name);
        for name in self.machines().await?.into_iter().filter(|name| !kept(name) && !orphaned(name)) {
            let message = format!(
                "has a machine that deployer made, but is not `provisioned` in the manifest. To destroy the machine, \
                 put the section back. To keep it: deployer state forget {name} --keep-infrastructure"
            );
            (self.sink)(Event::Warning { environment: Some(name), message });
        }
        Ok(())
    }

    /// Returns the environments of the project that have a machine which deployer made.
    async fn machines(&self) -> Result<Vec<String>, Failure> {
        match &self.store {
            Some(store) => store.with_infrastructure(self.manifest.project.as_str()).await,
            None => Ok(Vec::new()),
        }
    }

    /// Returns an environment that left the manifest, rebuilt from its record, or `None` if the record does not hold
    /// the way to its host.
    ///
    /// # Errors
    /// `InfrastructureExists` if deployer made its machine, and no recipe for destroying the machine is saved.
    async fn orphan(&self, name: &str) -> Result<Option<Environment>, Failure> {
        let (Some(store), Some(record)) = (&self.store, self.records.get(name)) else { return Ok(None) };
        let project = &self.manifest.project;
        let provision = if store.has_infrastructure(project.as_str(), name).await? {
            let passphrase = self.manifest.state_passphrase.as_ref();
            let remembered = self.provisioner.remembered(project.as_str(), name, passphrase).await?;
            let Some(provision) = remembered else {
                let message = "An earlier version of deployer made its machine, and only its entry in the manifest \
                               tells how to destroy it";
                let hint = format!("Put the entry of {name} back, then run deployer destroy {name}");
                return Err(Failure::new(Reason::InfrastructureExists, message).hint(hint).on(name));
            };
            Some(provision)
        } else {
            None
        };
        Ok(orphan::environment(project, name, record, provision))
    }

    /// Selects environments like [`Pass::select`], for a command that changes hosts. Includes environments that left
    /// the manifest and are destroyed by name.
    pub async fn select_to_change(
        &self,
        names: &[String],
        allowed: &[String],
        destroy: bool,
    ) -> Result<Vec<Environment>, Vec<Failure>> {
        let mut orphans: Vec<Environment> = Vec::new();
        for name in (if destroy { names } else { allowed }).iter().filter(|name| !self.knows(name)) {
            orphans.extend(self.orphan(name).await.map_err(|failure| vec![failure])?);
        }
        let gone = |name: &&String| destroy && orphans.iter().any(|orphan| orphan.name.as_str() == name.as_str());
        let known: Vec<String> = names.iter().filter(|name| !gone(name)).cloned().collect();
        let none = known.is_empty() && !names.is_empty();
        let mut environments = if none { Vec::new() } else { self.select(&known, !destroy)? };
        environments.extend(orphans);
        Ok(environments)
    }
}
