//! Request for a pass: the environments, the goal, and the permissions. Knows no command line.

use crate::manifest::environment::Environment;
use crate::model::state::Stage;
use crate::plan::saved::SavedFile;
use std::time::Duration;

/// The goal of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Each environment reaches its own stage, limited to this one.
    Reach(Stage),
    /// Each environment returns to an earlier release.
    RollBack,
    /// Everything that deployer placed is removed from the hosts.
    Destroy {
        /// True if the environment's data is deleted too.
        purge: bool,
    },
}

/// The contact with systems other than the hosts: registries for images, providers for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// One query per system and item.
    Asked,
    /// No queries: the pass does not need the answers, and a machine is used at its recorded address.
    LeftAlone,
}

/// The settings of a pass for the environments that it is given.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is its own permission")]
pub struct Request {
    /// The goal of the pass.
    pub goal: Goal,
    /// The release to go back to, if one is named.
    pub release: Option<String>,
    /// The number of hosts that are worked on at once.
    pub parallel: usize,
    /// True if hosts that refuse or do not answer are tried again for as long as `ssh.wait` says.
    pub patient: bool,
    /// True if suspended environments are included (the user named them).
    pub resume: bool,
    /// True if steps that destroy data or machines may be planned.
    pub destructive: bool,
    /// The contact with registries and providers.
    pub outside: Outside,
    /// True if a directory that is marked as another owner's is taken over.
    pub take_over: bool,
}

impl Request {
    /// Returns the settings for an observation that changes nothing.
    #[must_use]
    pub fn look() -> Self {
        Self {
            goal: Goal::Reach(Stage::Running),
            release: None,
            parallel: 10,
            patient: false,
            resume: false,
            destructive: true,
            outside: Outside::LeftAlone,
            take_over: false,
        }
    }
}

impl Goal {
    /// Returns the stage that this pass brings an environment to, or `None` if the environment is removed from its
    /// host.
    #[must_use]
    pub fn stage(self, environment: &Environment) -> Option<Stage> {
        match self {
            Self::Reach(limit) if environment.stage != Stage::Destroyed => Some(environment.stage.min(limit)),
            Self::RollBack => Some(environment.stage),
            Self::Reach(_) | Self::Destroy { .. } => None,
        }
    }
}

/// A request for a pass.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The command's name, for the record.
    pub command: &'static str,
    /// The named environments; empty means all.
    pub environments: Vec<String>,
    /// The goal of the pass.
    pub goal: Goal,
    /// The release to go back to, if one is named.
    pub release: Option<String>,
    /// True if releases that were rolled back are tried again.
    pub retry: bool,
    /// The volumes that may be new and empty although the live release had them.
    pub new_volumes: Vec<String>,
    /// True if the run continues without a prompt.
    pub yes: bool,
    /// The number of hosts that are worked on at once.
    pub parallel: usize,
    /// The environments that may be destroyed.
    pub allow_destroy: Vec<String>,
    /// The time to wait for another run that works on the same environment.
    pub wait: Duration,
    /// True if a directory that is marked as another owner's is taken over.
    pub take_over: bool,
    /// The saved plan to execute exactly.
    pub saved: Option<SavedFile>,
}

/// The time to wait for another run: longer than the lease of a dead run.
pub const WAIT: Duration = Duration::from_secs(90);

impl Asked {
    /// Returns a request that asks at a terminal, trusts nothing, destroys nothing, and works on ten hosts at once.
    #[must_use]
    pub fn new(command: &'static str, environments: Vec<String>, goal: Goal) -> Self {
        Self {
            command,
            environments,
            goal,
            release: None,
            retry: false,
            new_volumes: Vec::new(),
            yes: false,
            parallel: 10,
            allow_destroy: Vec::new(),
            wait: WAIT,
            take_over: false,
            saved: None,
        }
    }
}
