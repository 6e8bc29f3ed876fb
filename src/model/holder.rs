//! The holder of an environment's lease: a process on a machine, distinct from every other process. This module only
//! describes holders; it takes no lease.

use crate::model::checked;
use serde::{Deserialize, Serialize};

/// Who works on an environment, for those who wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `user@machine`.
    pub by: String,
    /// The process there.
    pub pid: u32,
    /// The command.
    pub command: String,
    /// Address of the CI run, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<String>,
    /// Names the process beyond doubt: the machine's start, the process's namespace and its own start.
    pub process: String,
    /// Tells each lease from every other. Older deployers neither write nor read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// The random id of a lease's owner: 128 bits as 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Owner(String);

impl Owner {
    /// The text before the id in a holder's line. Quotes in other fields are escaped, so that it occurs nowhere else.
    pub const FIELD: &'static str = "\"owner\":\"";

    /// An id from its random bits.
    #[must_use]
    pub fn new(random: u128) -> Self {
        Self(format!("{random:032x}"))
    }

    /// The field of a holder's line that has it.
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
    /// This process. What `/proc` does not tell is left empty: such a holder is never taken for gone.
    #[must_use]
    pub fn here(by: &str, command: &str, ci: Option<String>) -> Self {
        let pid = std::process::id();
        let process = process(pid).unwrap_or_default();
        Self { by: by.to_owned(), pid, command: command.to_owned(), ci, process, owner: None }
    }

    /// The same process as the owner of one lease.
    #[must_use]
    pub fn as_owner(&self, owner: Owner) -> Self {
        Self { owner: Some(owner), ..self.clone() }
    }

    /// Whether it was a process of this machine that lives no more.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.of_here() && !self.is_there()
    }

    /// Whether it is a process of this machine that lives.
    #[must_use]
    pub fn lives_here(&self) -> bool {
        self.of_here() && self.is_there()
    }

    /// Whether it is, or was, a process of this machine since its last start.
    fn of_here(&self) -> bool {
        let place = |process: &str| process.rsplit_once('/').map(|(place, _)| place.to_owned());
        let here = process(std::process::id());
        here.as_deref().and_then(place).is_some_and(|here| place(&self.process) == Some(here))
    }

    fn is_there(&self) -> bool {
        process(self.pid).is_some_and(|now| now == self.process)
    }

    /// As one line.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads that line; `None` for one that does not name a process in a few words.
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
        write!(f, "deployer {} of {} (pid {})", self.command, self.by, self.pid)?;
        self.ci.as_ref().map_or(Ok(()), |ci| write!(f, ", {ci}"))
    }
}

/// Start of the machine, process namespace, and start of the process in ticks since then (`proc(5)`, field 22).
fn process(pid: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let begun = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.to_owned();
    Some(format!("{}/{}/{begun}", boot.trim(), namespace.display()))
}
