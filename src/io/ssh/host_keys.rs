//! Verifies the key of each host: pinned in the manifest, recorded at the first contact, or in the user's known hosts.

use super::key_format;
use super::master::Call;
use super::settings::{HELPER, Settings, words};
use crate::io::process;
use crate::model::bounded;
use crate::model::failure::{Failure, Reason};
use crate::model::reach::HostKeys;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

/// Policy for the host's key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Pinned keys only.
    Pinned,
    /// Keys in the user's known hosts, or recorded by us.
    Known,
    /// Any key of a host that is not yet known.
    Learn,
}

impl Call<'_> {
    fn trust(&self) -> Trust {
        match &self.way.reach.keys {
            HostKeys::Pinned(_) => Trust::Pinned,
            HostKeys::Recorded(keys) if keys.is_empty() && self.way.accept_new => Trust::Learn,
            HostKeys::Recorded(_) => Trust::Known,
        }
    }

    /// Writes the keys that deployer knows, and adds the options for the keys that ssh may accept.
    pub(super) fn limit_host_keys(&mut self) -> std::io::Result<()> {
        let ours = self.way.reach.keys.as_slice();
        let known: String = ours.iter().fold(String::new(), |mut lines, key| {
            let _ = writeln!(lines, "* {}", key.trim());
            lines
        });
        fs::write(self.directory.path().join("known"), known)?;
        // ssh reports the key that it was offered, so that we can record it and show its fingerprint.
        self.option(&format!("KnownHostsCommand=/bin/sh -c 'echo \"%t %K\" >>{}'", self.path("offered")));
        match self.trust() {
            Trust::Pinned => {
                self.option(&format!("UserKnownHostsFile={}", self.path("known")));
                self.option("GlobalKnownHostsFile=/dev/null");
            }
            Trust::Known if !ours.is_empty() => {
                let files = format!("{} /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2", self.path("known"));
                self.option(&format!("GlobalKnownHostsFile={files}"));
            }
            Trust::Known | Trust::Learn => {}
        }
        Ok(())
    }

    /// Prepares to accept the key of a host that is not yet known, if that is allowed. Another key of a known host, of
    /// any type, still counts as changed.
    pub(super) async fn learn_host_key(&mut self) -> Result<(), Failure> {
        if self.trust() != Trust::Learn {
            return Ok(());
        }
        let settings = Settings::read(&self.options, &self.way.reach.address).await?;
        self.option("StrictHostKeyChecking=accept-new");
        let files = std::iter::once(self.path("known")).chain(settings.known_files).collect::<Vec<_>>();
        let quoted: Vec<_> = files.iter().map(|file| format!("\"{file}\"")).collect();
        self.option(&format!("UserKnownHostsFile={}", quoted.join(" ")));
        Ok(())
    }

    /// Returns the failure for a rejected host key. The details hold an unknown key as `TYPE BASE64`.
    pub(super) async fn distrusted(&self, reason: Reason, said: &str) -> Failure {
        let offered = self.offered().pop();
        let print = match &offered {
            Some(key) => fingerprint(key).await.unwrap_or_else(|| key.clone()),
            None => "(not readable)".to_owned(),
        };
        let changed = |known: &str| {
            Failure::new(
                Reason::HostKeyChanged,
                format!("{} has the host key {print}, which is not {known}", self.whom()),
            )
        };
        if self.trust() == Trust::Pinned {
            return changed("a key pinned in ssh.host_key");
        }
        if reason == Reason::HostKeyUnknown {
            if !self.way.reach.keys.as_slice().is_empty() {
                return changed("the key recorded at the first contact");
            }
            let failure = Failure::new(reason, format!("The host key of {} is not known: {print}", self.whom()));
            let Some(key) = offered else { return failure };
            let pin = format!("If this is the key of the host, pin it below `ssh`: host_key: \"{key}\"");
            return failure.details(key).hint(format!("{pin}; or pass --accept-new-host-keys"));
        }
        let place = said.lines().find_map(|line| line.trim().strip_prefix("Offending ")?.split_once(" key in "));
        match place {
            Some((_, place)) if !place.starts_with(&self.path("known")) => changed(&format!("the one in {place}")),
            Some(_) => changed("the key recorded at the first contact"),
            None => changed("the known one"),
        }
    }

    /// Returns the keys that the host offered in the last attempt, as `TYPE BASE64`. Omits certificates, which cannot
    /// be recorded as keys.
    pub(super) fn offered(&self) -> Vec<String> {
        let text = bounded::beginning(self.path("offered"));
        let keys: BTreeSet<_> =
            text.lines().filter(|line| !line.contains("-cert-")).filter_map(key_format::public).collect();
        keys.into_iter().collect()
    }
}

/// Returns `TYPE SHA256:…` of a public key.
async fn fingerprint(key: &str) -> Option<String> {
    let finished =
        process::run(&words(&["ssh-keygen", "-l", "-f", "-"]), format!("{key}\n").as_bytes(), HELPER).await.ok()?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    let print = text.split_whitespace().nth(1)?;
    Some(format!("{} {print}", key.split_whitespace().next()?))
}
