//! Facts of one environment by kind, and the lifecycle stage derived from them. Desired and observed state have this
//! one type. A stage is not stored.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Kind of facts, in lifecycle order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The machine exists as requested.
    Infrastructure,
    /// The host is reachable and is marked as ours.
    Access,
    /// A sufficiently recent Docker engine runs.
    Engine,
    /// The host installs security updates by itself, as requested.
    Updates,
    /// The checks of the user's own scripts pass.
    Scripts,
    /// The release's files are on the host, unchanged.
    Files,
    /// The release's images are on the host.
    Images,
    /// Only the intended ports of the host are reachable. This kind follows the release, which defines the ports.
    Firewall,
    /// The release's services run and are healthy.
    Services,
    /// The timers are installed and enabled as requested.
    Schedules,
}

/// Progress of an environment in its lifecycle.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Torn down, or to be torn down.
    Destroyed,
    /// Declared; no contact yet.
    Created,
    /// There is a host, we reach it and it is marked as ours.
    Provisioned,
    /// It has what applications need.
    Configured,
    /// Files and images of the release are there and validated.
    Released,
    /// Its services run and are healthy.
    Running,
}

/// Facts of one kind: fact name → value. Values are normalised, so that equal values have the same meaning.
pub type Facts = BTreeMap<String, String>;

/// Facts of one environment. A kind that is absent was not observed or is not wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct State(pub BTreeMap<Kind, Facts>);

impl Kind {
    /// Every kind, in lifecycle order.
    pub const ALL: [Self; 10] = [
        Self::Infrastructure,
        Self::Access,
        Self::Engine,
        Self::Updates,
        Self::Scripts,
        Self::Files,
        Self::Images,
        Self::Firewall,
        Self::Services,
        Self::Schedules,
    ];

    /// Returns the stage that this kind belongs to.
    #[must_use]
    pub const fn stage(self) -> Stage {
        match self {
            Self::Infrastructure | Self::Access => Stage::Provisioned,
            Self::Engine | Self::Updates | Self::Scripts | Self::Firewall => Stage::Configured,
            Self::Files | Self::Images => Stage::Released,
            Self::Services | Self::Schedules => Stage::Running,
        }
    }

    /// Returns true if the kind's facts come from the release. The release's digest identifies these facts.
    #[must_use]
    pub const fn is_of_release(self) -> bool {
        matches!(self, Self::Files | Self::Images | Self::Services)
    }

    /// Returns the kind's name in plans and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infrastructure => "infrastructure",
            Self::Access => "access",
            Self::Engine => "engine",
            Self::Updates => "updates",
            Self::Scripts => "scripts",
            Self::Files => "files",
            Self::Images => "images",
            Self::Firewall => "firewall",
            Self::Services => "services",
            Self::Schedules => "schedules",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Stage {
    /// Returns the stage's name in manifests and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Destroyed => "destroyed",
            Self::Created => "created",
            Self::Provisioned => "provisioned",
            Self::Configured => "configured",
            Self::Released => "released",
            Self::Running => "running",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
