//! A machine that was ordered and lost sight of, since the run was killed between the order and the note of it: it is
//! looked for by its name or its labels and taken over. Never orders a second one in its place.

use super::inputs::{self, Inputs};
use crate::io::opentofu::{Action, Backend, Proposed, Purpose, Say, Vault, Work};
use crate::manifest::environment::Environment;
use crate::manifest::provision::{Lxd, Machine, Provision};
use crate::model::failure::{Failure, Reason};
use crate::resource::infrastructure::is_machine;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file that tells OpenTofu what to take over.
const IMPORT: &str = "adopt.tf.json";

/// Whose machine is looked for.
pub(super) struct Search<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// What makes its machine.
    pub provision: &'a Provision,
    /// What OpenTofu is given.
    pub inputs: &'a Inputs,
    /// Where the search keeps what it needs while it runs.
    pub vault: Arc<Vault>,
}

/// Whether the state lacks a machine that may be there all the same: it was once begun.
pub(super) fn is_lost(proposed: &Proposed, machine: &Machine, taking_down: bool) -> bool {
    let does = |action| super::does(proposed, machine, action);
    if taking_down { !does(Action::Delete) } else { does(Action::Create) }
}

impl Search<'_> {
    /// Plans to take over what is found, and whether something was; else what is `proposed` stands.
    pub async fn adopt(
        &self,
        work: &mut Work,
        proposed: Proposed,
        purpose: Purpose,
        say: &Say<'_>,
    ) -> Result<(Proposed, bool), Failure> {
        let mut found = self.found(work, say).await?;
        // What the state has is not lost.
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
            // What LXD does not have cannot be taken over.
            Err(_) => return self.nothing(work, purpose, say).await,
        };
        let mut changes = adopted.changes.iter().filter(|change| is_machine(change, &self.provision.machine));
        // What the state has, even if the provider has it no more, is not imported.
        if matches!(self.provision.machine, Machine::Lxd(_)) && changes.all(|change| change.action == Action::Create) {
            return self.nothing(work, purpose, say).await;
        }
        self.is_ours(&adopted).map(|()| (adopted, true))
    }

    /// Nothing was left behind.
    async fn nothing(&self, work: &mut Work, purpose: Purpose, say: &Say<'_>) -> Result<(Proposed, bool), Failure> {
        work.files.remove(IMPORT);
        work.plan(purpose, say).await.map(|proposed| (proposed, false))
    }

    /// An instance of LXD is found by its name alone, which somebody else's may have, too: ours is born with our labels.
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
        let hint = "Rename or delete that instance, or rename the environment; deployer takes over only what it made";
        Err(Failure::new(Reason::ProvisionFailed, message).hint(hint))
    }

    /// What may have been left behind, as resource → id.
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

/// An instance as LXD's provider names it for an import.
fn instance(lxd: &Lxd, name: &str) -> String {
    let of = |part: &Option<String>, end: &str| part.as_ref().map_or(String::new(), |part| format!("{part}{end}"));
    format!("{}{}{name},image={}", of(&lxd.remote, ":"), of(&lxd.project, "/"), lxd.image)
}

/// What the provider has under our labels, as resource → id.
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
                let message = format!("{to} exists more than once under our labels: {}", several.join(", "));
                let hint = "Delete the ones that are not in use; deployer would not know which to keep";
                return Err(Failure::new(Reason::ProvisionFailed, message).hint(hint));
            }
        }
    }
    Ok(found)
}
