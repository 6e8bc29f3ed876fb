//! Remarks on a change of the firewall for readers of the plan. Remarks do not affect the change.

use super::{NFTABLES, wanted};
use crate::model::event::Change;
use crate::resource::compose::container::Container;
use crate::resource::{HostFacts, Subject};
use std::collections::BTreeSet;

/// Adds remarks to the changes of a step: which ports it closes, and which ports it cannot close.
pub fn remark(subject: &Subject<'_>, host: &HostFacts, changes: &mut [Change]) {
    let closed = closed(subject, host);
    let about = ["rules", "open"].into_iter().find(|fact| changes.iter().any(|change| change.fact == *fact));
    for change in changes {
        if change.fact == "through" && change.to.as_deref().is_some_and(|to| to != NFTABLES) {
            change.note = change.to.as_ref().map(|way| format!("ports that Docker publishes pass by {way}"));
        } else if Some(change.fact.as_str()) == about && !closed.is_empty() {
            change.note = Some(format!("closes {}", closed.join(", ")));
        }
    }
}

/// Returns the ports with a listener that will no longer be reachable. Ports of UDP clients are left out.
fn closed(subject: &Subject<'_>, host: &HostFacts) -> Vec<String> {
    let seen = &host.firewall;
    if seen.way != NFTABLES || subject.environment.firewall.is_none() {
        return Vec::new();
    }
    let wanted = wanted(subject, host);
    let ours: BTreeSet<(u16, &str)> = host.services.containers.iter().flat_map(Container::ports).collect();
    let open = |port: u16, protocol: &str| {
        wanted.iter().chain(&seen.others).any(|opening| opening.covers(port, protocol))
            || ours.contains(&(port, protocol))
            || (protocol == "tcp" && seen.ssh.contains(&port))
            || (protocol == "udp" && (matches!(port, 68 | 546) || port >= 32768))
    };
    let closed = seen.listening.iter().filter(|(port, protocol)| !open(*port, protocol));
    closed.map(|(port, protocol)| format!("{port}/{protocol}")).collect()
}
