//! The holder of an environment's lease: a process on a machine, distinct from every other process. This module only
//! describes holders; it takes no lease.

use crate::model::checked;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// Process that holds the lease on an environment, described for the runs that wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `user@machine`.
    pub by: String,
    /// The process's id on that machine.
    pub pid: u32,
    /// The command.
    pub command: String,
    /// Address of the CI run, if the process is part of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<String>,
    /// Unique identity of the process: the machine's boot id, the PID namespace and the process's start time.
    pub process: String,
    /// Id that distinguishes each lease from every other. Older deployers neither write nor read this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// Random id of a lease's owner: 128 bits as 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Owner(String);

impl Owner {
    /// Text before the id in a holder's line. Quotes in other fields are escaped, so this text occurs nowhere else in
    /// the line.
    pub const FIELD: &'static str = "\"owner\":\"";

    /// Returns an id from its random bits.
    #[must_use]
    pub fn new(random: u128) -> Self {
        Self(format!("{random:032x}"))
    }

    /// Returns the field of a holder's line that contains the id.
    #[must_use]
    pub fn field(&self) -> String {
        format!("{}{}\"", Self::FIELD, self.0)
    }
}

impl TryFrom<String> for Owner {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if checked::is_hex(&text) && text.len() == 32 {
            Ok(Self(text))
        } else {
            Err("an owner's id has 32 hexadecimal digits")
        }
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.0
    }
}

impl Holder {
    /// Describes this process. `process` stays empty if `/proc` cannot be read: such a holder never counts as gone.
    #[must_use]
    pub fn here(by: &str, command: &str, ci: Option<String>) -> Self {
        let pid = std::process::id();
        let process = process(pid).unwrap_or_default();
        Self { by: by.to_owned(), pid, command: command.to_owned(), ci, process, owner: None }
    }

    /// Returns the same process as the owner of one lease.
    #[must_use]
    pub fn as_owner(&self, owner: Owner) -> Self {
        Self { owner: Some(owner), ..self.clone() }
    }

    /// Returns true if the holder was a process of this machine that no longer runs.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.of_here() && !self.is_there()
    }

    /// Returns true if the holder is a running process of this machine.
    #[must_use]
    pub fn lives_here(&self) -> bool {
        self.of_here() && self.is_there()
    }

    /// Returns true if the holder is or was a process of this machine since the machine's last boot.
    fn of_here(&self) -> bool {
        let place = |process: &str| process.rsplit_once('/').map(|(place, _)| place.to_owned());
        let here = process(std::process::id());
        here.as_deref().and_then(place).is_some_and(|here| place(&self.process) == Some(here))
    }

    /// Returns true if the process runs. A process of another account whose start time this account cannot read, as
    /// with `hidepid` (`proc(5)`), counts as running.
    fn is_there(&self) -> bool {
        match process(self.pid) {
            Some(now) => now == self.process,
            None => exists(self.pid),
        }
    }

    /// Returns the holder as one line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads that line. Returns `None` if the line does not describe a process in short texts.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let holder: Self = serde_json::from_str(line).ok()?;
        let texts = [Some(&holder.by), Some(&holder.command), holder.ci.as_ref(), Some(&holder.process)];
        let short = texts.into_iter().flatten().all(|text| *text == checked::said(text));
        short.then_some(holder)
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "deployer {}, {}, pid {}", self.command, self.by, self.pid)?;
        self.ci.as_ref().map_or(Ok(()), |ci| write!(f, ", {ci}"))
    }
}

/// Returns true if there is a process with this id, even one that `/proc` hides.
fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    test_kill_process(pid) != Err(Errno::SRCH)
}

/// Returns the machine's boot id, the PID namespace, and the process's start time in ticks since boot (`proc(5)`, field
/// 22).
fn process(pid: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let begun = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.to_owned();
    Some(format!("{}/{}/{begun}", boot.trim(), namespace.display()))
}
