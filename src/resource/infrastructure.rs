//! Infrastructure: the machine itself, as OpenTofu sees it. It is asked and told by its own program, so there is no probe
//! and there are no commands; the facts are what it would change. Never on the host.

use super::{HostFacts, Subject};
use crate::io::opentofu::{Action as Change, Planned, ResourceChange};
use crate::manifest::provision::{Machine, Module};
use crate::model::event::{Action, PlannedStep};
use crate::model::state::{Facts, Kind};

/// What is only known once the machine is there.
pub const UNKNOWN: &str = "(known after provision)";

/// The fact that says that there is a machine.
const MACHINE: &str = "machine";

/// What OpenTofu was heard to say.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Whether its state holds anything.
    pub exists: bool,
    /// What it would do to have it as the manifest wants it.
    pub changes: Vec<ResourceChange>,
    /// Digest of what it was given.
    pub digest: String,
    /// Whether it would take down instead of build.
    pub taking_down: bool,
}

impl Seen {
    /// Whether what is on the machine now will not be there: it is made, or made anew.
    #[must_use]
    pub fn is_new(&self, machine: &Machine) -> bool {
        let made = |change: &ResourceChange| match machine {
            // Where it is not said which of a module's resources is the machine, one that comes to others is none.
            Machine::Module(Module { resource: None, .. }) => change.action == Change::Replace,
            _ => matches!(change.action, Change::Replace | Change::Create),
        };
        !self.exists || self.changes.iter().filter(|change| is_machine(change, machine)).any(made)
    }

    /// Whether nothing can be known yet of what is on the machine: it is new, or stands still and is to be started.
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

    /// Whether something that cannot be brought back would go: the machine, or a volume of it.
    #[must_use]
    pub fn destroys(&self, machine: &Machine) -> bool {
        let holds = |change: &&ResourceChange| match machine {
            Machine::Hetzner(_) => matches!(change.r#type.as_str(), "hcloud_server" | "hcloud_volume"),
            _ => is_machine(change, machine),
        };
        let gone = |change: &ResourceChange| {
            // One that was never made to the end held nothing yet.
            matches!(change.action, Change::Replace | Change::Delete) && !unfinished(change)
        };
        self.changes.iter().filter(holds).any(gone)
    }
}

/// Whether a resource was never made to the end.
fn unfinished(change: &ResourceChange) -> bool {
    change.because.iter().any(|why| why == "tainted")
}

/// Whether a resource is the machine, or might be.
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

/// The facts as they are: what would change, as it is now.
#[must_use]
pub fn observed(host: &HostFacts) -> Facts {
    let seen = &host.infrastructure;
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
            // What is made only now had no value before, secret or not.
            let secret = attribute.sensitive && change.action != Change::Create;
            let from = if secret { Some("(secret)".to_owned()) } else { attribute.from.clone() };
            facts.extend(from.map(|from| (format!("{} {}", change.address, attribute.path), from)));
        }
    }
    facts
}

/// The facts as they are to be.
#[must_use]
pub fn desired(host: &HostFacts) -> Facts {
    let seen = &host.infrastructure;
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
            // What only the provider can say of something new is no news.
            let told = change.action != Change::Create || attribute.to != Planned::Unknown;
            facts.extend(to.filter(|_| told).map(|to| (format!("{} {}", change.address, attribute.path), to)));
        }
    }
    facts
}

/// Says of a plan's steps what follows from the machine: that it is replaced, and that what comes after it on a new one
/// is not known yet.
pub fn mark(subject: &Subject<'_>, host: &HostFacts, steps: &mut [PlannedStep]) {
    let Some(provision) = subject.environment.provision.as_deref() else { return };
    let seen = &host.infrastructure;
    for step in steps {
        if step.kind != Kind::Infrastructure {
            if seen.is_unseen(&provision.machine) {
                UNKNOWN.trim_matches(['(', ')']).clone_into(&mut step.reason);
            }
        } else if seen.taking_down {
            (step.action, step.destructive) = (Action::Remove, true);
            "destroyed".clone_into(&mut step.reason);
        } else if seen.destroys(&provision.machine) {
            (step.action, step.destructive) = (Action::Replace, true);
        }
    }
}
