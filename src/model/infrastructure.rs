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
