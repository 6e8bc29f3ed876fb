//! Ports that something else on the host holds, so that no service can publish them.

use super::records;
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::resource::compose::container::Container;
use crate::resource::contract::claims;
use crate::resource::release_identity::project;
use crate::resource::{HostFacts, Subject, files};
use std::collections::{BTreeMap, BTreeSet};

/// Shell function that prints `WORD PROTOCOL PORT` for each port with a listener. The port is in the kernel's notation.
pub(super) const LISTENING: &str = r#"listening() {
  sed -n "s/^ *[0-9]*: [^ ]*:\([0-9A-F]*\) [^ ]* 0A .*/$1 tcp \1/p" /proc/net/tcp /proc/net/tcp6 2>/dev/null
  sed -n "s/^ *[0-9]*: [^ ]*:\([0-9A-F]*\) [^ ]* 07 .*/$1 udp \1/p" /proc/net/udp /proc/net/udp6 2>/dev/null || :
}
"#;

/// Reads `tcp 1F90`, the kernel's notation of a port. Returns `None` for other protocols.
pub(super) fn listener(line: &str) -> Result<Option<(u16, String)>, String> {
    let Some((protocol, port)) = line.split_once(' ') else { return Ok(None) };
    let port = u16::from_str_radix(port, 16).map_err(|_| format!("a port is `{}`", checked::said(port)))?;
    Ok(["tcp", "udp"].contains(&protocol).then(|| (port, protocol.to_owned())))
}

/// Refuses a port of a service that something else on the host holds.
pub(super) fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let former = claims::former_containers(subject.environment, host, project(subject, host));
    let ours: BTreeSet<(u16, &str)> =
        super::containers(subject, host).chain(former).flat_map(Container::ports).collect();
    // An outdated staged release is replaced before any service starts, so its ports do not matter.
    let outdated = host.files.staged.is_some() && files::staged_as_wanted(subject, host).is_none();
    let records = if outdated { BTreeMap::new() } else { records::of(subject, host) };
    let taken = records.iter().find_map(|(service, record)| {
        let port = record.ports.iter().find(|port| {
            host.services.listening.contains(&(port.port, port.protocol.clone()))
                && !ours.contains(&(port.port, port.protocol.as_str()))
        })?;
        Some((service, port))
    });
    taken.map(|(service, port)| {
        let message =
            format!("Port {}/{} of service {service} is used by something else on the host", port.port, port.protocol);
        Failure::new(Reason::PortTaken, message)
    })
}
