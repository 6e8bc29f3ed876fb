//! Adopts a machine that was ordered but is missing in OpenTofu's state, because the run was killed between the order
//! and the write of the state: finds the machine by its name or its labels and imports it. Does not order a second
//! machine.

use super::inputs::{self, Inputs};
use crate::io::opentofu::{Action, Backend, Proposed, Purpose, Say, Vault, Work};
use crate::manifest::environment::Environment;
use crate::manifest::provision::{Lxd, Machine, Provision};
use crate::model::failure::{Failure, Reason};
use crate::resource::infrastructure::is_machine;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file with OpenTofu's import blocks.
const IMPORT: &str = "adopt.tf.json";

/// The search for a lost machine.
pub(super) struct Search<'a> {
    pub environment: &'a Environment,
    /// The section that defines the machine.
    pub provision: &'a Provision,
    pub inputs: &'a Inputs,
    /// The vault that keeps the search's own state while it runs.
    pub vault: Arc<Vault>,
}

/// Returns true if the state lacks a machine that may exist anyway because its creation was started once.
pub(super) fn is_lost(proposed: &Proposed, machine: &Machine, taking_down: bool) -> bool {
    let does = |action| super::does(proposed, machine, action);
    if taking_down { !does(Action::Delete) } else { does(Action::Create) }
}

impl Search<'_> {
    /// Plans to import what is found. Returns that plan and true, or `proposed` and false if nothing is found.
    pub async fn adopt(
        &self,
        work: &mut Work,
        proposed: Proposed,
        purpose: Purpose,
        say: &Say<'_>,
    ) -> Result<(Proposed, bool), Failure> {
        let mut found = self.found(work, say).await?;
        // Resources that are in the state are not lost.
        found.retain(|(address, _)| {
            let known = proposed.changes.iter().find(|change| change.address == *address);
            known.is_none_or(|change| change.action == Action::Create)
        });
        if found.is_empty() {
            return Ok((proposed, false));
        }
        let import: Vec<_> = found.iter().map(|(to, id)| json!({ "to": to, "id": id })).collect();
        work.files.insert(IMPORT.to_owned(), format!("{:#}\n", json!({ "import": import })));
        let adopted = match work.plan(Purpose::Apply, say).await {
            Ok(adopted) => adopted,
            Err(failure) if !matches!(self.provision.machine, Machine::Lxd(_)) => return Err(failure),
            // LXD cannot import an instance that it does not have.
            Err(_) => return self.nothing(work, purpose, say).await,
        };
        let mut changes = adopted.changes.iter().filter(|change| is_machine(change, &self.provision.machine));
        // OpenTofu does not import a resource that is in its state, even if the provider no longer has it.
        if matches!(self.provision.machine, Machine::Lxd(_)) && changes.all(|change| change.action == Action::Create) {
            return self.nothing(work, purpose, say).await;
        }
        self.is_ours(&adopted).map(|()| (adopted, true))
    }

    /// Returns the plan without an import, because no machine was left behind.
    async fn nothing(&self, work: &mut Work, purpose: Purpose, say: &Say<'_>) -> Result<(Proposed, bool), Failure> {
        work.files.remove(IMPORT);
        work.plan(purpose, say).await.map(|proposed| (proposed, false))
    }

    /// Refuses an LXD instance without deployer's labels. LXD finds an instance only by its name, which an instance of
    /// somebody else may have too; deployer creates each instance with its labels.
    fn is_ours(&self, adopted: &Proposed) -> Result<(), Failure> {
        let Machine::Lxd(lxd) = &self.provision.machine else { return Ok(()) };
        let label = |path: &str| path.starts_with("config.user.deployer-");
        let changes = adopted.changes.iter().filter(|change| is_machine(change, &self.provision.machine));
        if changes.flat_map(|change| &change.attributes).all(|attribute| !label(&attribute.path)) {
            return Ok(());
        }
        let name = self.environment.identity();
        let place = lxd.remote.as_ref().map(|remote| format!(" of the remote {remote}")).unwrap_or_default();
        let message = format!("LXD{place} has an instance {name} that deployer did not make for this environment");
        let hint =
            "Rename or delete that instance, or rename the environment. deployer adopts only instances that it made";
        Err(Failure::new(Reason::ProvisionFailed, message).hint(hint))
    }

    /// Returns the resources that may have been left behind, as resource → id.
    async fn found(&self, work: &Work, say: &Say<'_>) -> Result<Vec<(String, String)>, Failure> {
        if let Machine::Lxd(lxd) = &self.provision.machine {
            return Ok(vec![("lxd_instance.machine".to_owned(), instance(lxd, &self.environment.identity()))]);
        }
        let Some(search) = inputs::of_search(self.environment, self.provision, self.inputs)? else {
            return Ok(Vec::new());
        };
        let found = left(work, &self.vault, search, say).await;
        self.vault.let_go().await?;
        found
    }
}

/// Returns the import id of an instance for LXD's provider.
fn instance(lxd: &Lxd, name: &str) -> String {
    let of = |part: &Option<String>, end: &str| part.as_ref().map_or(String::new(), |part| format!("{part}{end}"));
    format!("{}{}{name},image={}", of(&lxd.remote, ":"), of(&lxd.project, "/"), lxd.image)
}

/// Returns the resources that the provider has under deployer's labels, as resource → id.
async fn left(
    work: &Work,
    vault: &Arc<Vault>,
    search: Inputs,
    say: &Say<'_>,
) -> Result<Vec<(String, String)>, Failure> {
    let work = Work {
        directory: work.directory.join("find"),
        files: search.files,
        variables: search.variables,
        backend: Backend::Theirs(Arc::clone(vault)),
        ..work.clone()
    };
    let proposed = work.plan(Purpose::Apply, say).await?;
    let outputs = work.apply(&proposed, say).await?;
    let left: BTreeMap<String, Vec<String>> =
        outputs.get("left").and_then(|left| serde_json::from_value(left.clone()).ok()).unwrap_or_default();
    let mut found = Vec::new();
    for (to, ids) in left {
        match &ids[..] {
            [] => {}
            [id] => found.push((to, id.clone())),
            several => {
                let message = format!("{to} exists more than once with the labels of deployer: {}", several.join(", "));
                let hint = "Delete those that are not in use; deployer cannot know which to keep";
                return Err(Failure::new(Reason::ProvisionFailed, message).hint(hint));
            }
        }
    }
    Ok(found)
}
