//! Changes of infrastructure that OpenTofu would make, as data. Values that are sensitive are left out.

use serde::{Deserialize, Serialize};

/// Action on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Creation.
    Create,
    /// Change in place.
    Update,
    /// Destruction and creation, in either order.
    Replace,
    /// Destruction.
    Delete,
    /// Adoption of an existing resource, perhaps with a change in place.
    Import,
    /// Removal from the state without destroying the resource.
    Forget,
}

/// One attribute after the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planned {
    /// The planned value; empty if it is sensitive.
    Known(String),
    /// A value that is known only after the plan was applied.
    Unknown,
    /// No value.
    Absent,
}

/// One attribute that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Path of the attribute (`device[0].properties.size`).
    pub path: String,
    /// Current value; `None` if there is none or it is sensitive.
    pub from: Option<String>,
    /// Planned value.
    pub to: Planned,
    /// True if the values must not be shown.
    pub sensitive: bool,
}

/// One resource that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceChange {
    /// Address (`module.disk.hcloud_volume.data[0]`).
    pub address: String,
    /// Resource type.
    pub r#type: String,
    /// Name in the files.
    pub name: String,
    /// Planned action.
    pub action: Action,
    /// Changed attributes; empty if the resource is destroyed or forgotten.
    pub attributes: Vec<AttributeChange>,
    /// Reasons for a replacement: the attributes that force it, or `tainted`, `requested`, `triggered`.
    pub because: Vec<String>,
}

impl ResourceChange {
    /// Returns true if this change is `shown`, or what remains of it after an apply that did a part.
    #[must_use]
    pub fn remains_of(&self, shown: &Self) -> bool {
        let of = |rest: &AttributeChange, whole: &AttributeChange| {
            rest.path == whole.path && (rest.to == whole.to || whole.to == Planned::Unknown)
        };
        let action = match (shown.action, self.action) {
            (Action::Create | Action::Import, Action::Update) | (Action::Replace, Action::Create) => true,
            (shown, rest) => shown == rest,
        };
        let is_planned = |rest: &AttributeChange| shown.attributes.iter().any(|whole| of(rest, whole));
        self.address == shown.address && action && self.attributes.iter().all(is_planned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: Action, attributes: &[(&str, Planned)]) -> ResourceChange {
        let attribute = |(path, to): &(&str, Planned)| {
            let (path, to) = ((*path).to_owned(), to.clone());
            AttributeChange { path, from: None, to, sensitive: false }
        };
        ResourceChange {
            address: "lxd_instance.machine".to_owned(),
            r#type: "lxd_instance".to_owned(),
            name: "machine".to_owned(),
            action,
            attributes: attributes.iter().map(attribute).collect(),
            because: Vec::new(),
        }
    }

    #[test]
    fn only_a_part_of_a_change_remains_of_it() {
        let known = |value: &str| Planned::Known(value.to_owned());
        let shown = change(Action::Create, &[("size", known("1")), ("address", Planned::Unknown)]);
        let rest = change(Action::Update, &[("address", known("::1"))]);
        assert!(shown.remains_of(&shown) && rest.remains_of(&shown));
        assert!(!change(Action::Update, &[("size", known("2"))]).remains_of(&shown));
        assert!(!change(Action::Update, &[("image", known("x"))]).remains_of(&shown));
        assert!(!change(Action::Replace, &[]).remains_of(&shown) && !change(Action::Delete, &[]).remains_of(&rest));
        assert!(!ResourceChange { address: "lxd_volume.data".to_owned(), ..rest }.remains_of(&shown));
    }
}
