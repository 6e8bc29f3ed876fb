//! Infrastructure: the machine itself, as OpenTofu sees it. OpenTofu reads and changes it, so this resource has no
//! probe and no commands. The facts are the changes that OpenTofu would make. Nothing here runs on the host.

use super::{HostFacts, Subject};
use crate::manifest::provision::{Machine, Module};
use crate::model::event::{Action, PlannedStep, StepReason};
use crate::model::infrastructure::{Action as Change, Planned, ResourceChange};
use crate::model::state::{Facts, Kind};

/// Value of an attribute that is known only after provisioning.
pub const UNKNOWN: &str = "(known after provision)";

/// Name of the fact that a machine exists.
const MACHINE: &str = "machine";

/// Data that OpenTofu reported.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// True if OpenTofu's state contains anything.
    pub exists: bool,
    /// The changes that OpenTofu would make to match the manifest.
    pub changes: Vec<ResourceChange>,
    /// Digest of OpenTofu's inputs.
    pub digest: String,
    /// True if OpenTofu would destroy instead of create.
    pub taking_down: bool,
}

impl Seen {
    /// Returns true if the machine is new or replaced, so that its present content will not exist.
    #[must_use]
    pub fn is_new(&self, machine: &Machine) -> bool {
        let made = |change: &ResourceChange| match machine {
            // If the manifest does not name the machine's resource in a module, an additional resource does not count
            // as the machine.
            Machine::Module(Module { resource: None, .. }) => change.action == Change::Replace,
            _ => matches!(change.action, Change::Replace | Change::Create),
        };
        !self.exists || self.changes.iter().filter(|change| is_machine(change, machine)).any(made)
    }

    /// Returns true if the machine cannot be read yet: it is new, or it is stopped and will be started.
    #[must_use]
    pub fn is_unseen(&self, machine: &Machine) -> bool {
        let starts = |change: &ResourceChange| {
            let running = change.attributes.iter().find(|attribute| attribute.path == "running");
            change.action == Change::Update && running.is_some_and(|it| it.to == Planned::Known("true".to_owned()))
        };
        self.is_new(machine)
            || matches!(machine, Machine::Lxd(_))
                && self.changes.iter().filter(|change| is_machine(change, machine)).any(starts)
    }

    /// Returns true if something that cannot be restored would be destroyed: the machine or one of its volumes.
    #[must_use]
    pub fn destroys(&self, machine: &Machine) -> bool {
        let holds = |change: &&ResourceChange| match machine {
            Machine::Hetzner(_) => matches!(change.r#type.as_str(), "hcloud_server" | "hcloud_volume"),
            _ => is_machine(change, machine),
        };
        let gone = |change: &ResourceChange| {
            // A resource whose creation did not finish holds no data yet.
            matches!(change.action, Change::Replace | Change::Delete) && !unfinished(change)
        };
        self.changes.iter().filter(holds).any(gone)
    }
}

/// Returns true if the creation of a resource did not finish.
fn unfinished(change: &ResourceChange) -> bool {
    change.because.iter().any(|why| why == "tainted")
}

/// Returns true if a resource is or may be the machine.
#[must_use]
pub fn is_machine(change: &ResourceChange, machine: &Machine) -> bool {
    match machine {
        Machine::Lxd(_) => change.r#type == "lxd_instance",
        Machine::Hetzner(_) => change.r#type == "hcloud_server",
        Machine::Module(module) => {
            module.resource.as_ref().is_none_or(|machine| change.address == format!("module.machine.{machine}"))
        }
    }
}

/// Returns the observed facts: the present values of everything that would change.
#[must_use]
pub fn observed(host: &HostFacts) -> Facts {
    let seen = &host.outside.machine;
    let mut facts = Facts::new();
    if seen.exists {
        facts.insert(MACHINE.to_owned(), "present".to_owned());
    }
    for change in &seen.changes {
        if matches!(change.action, Change::Update | Change::Replace | Change::Delete) {
            let word = if unfinished(change) { "begun" } else { "present" };
            facts.insert(change.address.clone(), word.to_owned());
        }
        for attribute in &change.attributes {
            // A resource that is created now had no previous value, secret or not.
            let secret = attribute.sensitive && change.action != Change::Create;
            let from = if secret { Some("(secret)".to_owned()) } else { attribute.from.clone() };
            facts.extend(from.map(|from| (format!("{} {}", change.address, attribute.path), from)));
        }
    }
    facts
}

/// Returns the desired facts.
#[must_use]
pub fn desired(host: &HostFacts) -> Facts {
    let seen = &host.outside.machine;
    let mut facts = Facts::new();
    if !seen.taking_down {
        facts.insert(MACHINE.to_owned(), "present".to_owned());
    }
    for change in seen.changes.iter().filter(|change| change.action != Change::Delete) {
        let word = match change.action {
            Change::Replace => {
                let because = change.because.join(", ");
                if unfinished(change) {
                    "made to the end".to_owned()
                } else if because.is_empty() {
                    "replaced".to_owned()
                } else {
                    format!("replaced, because of {because}")
                }
            }
            Change::Import => "taken over".to_owned(),
            _ => "present".to_owned(),
        };
        facts.insert(change.address.clone(), word);
        for attribute in &change.attributes {
            let to = match &attribute.to {
                _ if attribute.sensitive => Some("(secret, changed)".to_owned()),
                Planned::Known(value) => Some(value.clone()),
                Planned::Unknown => Some(UNKNOWN.to_owned()),
                Planned::Absent => None,
            };
            // Values of a new resource that only the provider knows are left out.
            let told = change.action != Change::Create || attribute.to != Planned::Unknown;
            facts.extend(to.filter(|_| told).map(|to| (format!("{} {}", change.address, attribute.path), to)));
        }
    }
    facts
}

/// Marks a plan's steps with the consequences of the machine's change: the machine is replaced, and later steps on a
/// new machine are not known yet.
pub fn mark(subject: &Subject<'_>, host: &HostFacts, steps: &mut [PlannedStep]) {
    let Some(provision) = subject.environment.provision.as_deref() else { return };
    let seen = &host.outside.machine;
    for step in steps {
        if step.kind != Kind::Infrastructure {
            if seen.is_unseen(&provision.machine) {
                step.reason = StepReason::Unprovisioned;
            }
        } else if seen.taking_down {
            (step.action, step.destructive, step.reason) = (Action::Remove, true, StepReason::Destroyed);
        } else if seen.destroys(&provision.machine) {
            (step.action, step.destructive) = (Action::Replace, true);
        }
    }
}
