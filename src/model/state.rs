//! What is true of one environment, as facts by kind, and the lifecycle stage derived from them.
//! Desired and observed state are two values of this one type; a stage is never stored.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One kind of facts, in lifecycle order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The machine is there, as asked for.
    Infrastructure,
    /// We reach the host and it is marked as ours.
    Access,
    /// A good enough Docker engine runs.
    Engine,
    /// The host installs security updates by itself, as asked.
    Updates,
    /// The checks of the user's own scripts pass.
    Scripts,
    /// The release's files are on the host, as released.
    Files,
    /// The release's images are on the host.
    Images,
    /// Only what is wanted of the host can be reached. It follows the release, which says what that is.
    Firewall,
    /// The release's services run and are healthy.
    Services,
    /// The timers are installed and enabled as wanted.
    Schedules,
}

/// How far an environment is in its lifecycle.
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

/// The facts of one kind: fact name → normalised value, so that equality is meaning.
pub type Facts = BTreeMap<String, String>;

/// The facts of one environment. A kind that is absent was not observed (or is not wanted).
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

    /// The stage that this kind belongs to.
    #[must_use]
    pub const fn stage(self) -> Stage {
        match self {
            Self::Infrastructure | Self::Access => Stage::Provisioned,
            Self::Engine | Self::Updates | Self::Scripts | Self::Firewall => Stage::Configured,
            Self::Files | Self::Images => Stage::Released,
            Self::Services | Self::Schedules => Stage::Running,
        }
    }

    /// Whether its facts come from the release, whose digest says what was asked for.
    #[must_use]
    pub const fn is_of_release(self) -> bool {
        matches!(self, Self::Files | Self::Images | Self::Services)
    }

    /// Its name in plans and events.
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
    /// Its name in manifests and events.
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
