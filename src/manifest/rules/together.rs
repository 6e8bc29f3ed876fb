//! Rules about several environments: dependencies and shared hosts. Does not compare every pair: ten thousand
//! environments are read in one pass.

use super::{Placed, shown};
use crate::manifest::environment::{HostId, Name, Protocol, SecurityUpdates, Source};
use crate::manifest::faults::Report;
use crate::manifest::suggest;
use crate::manifest::tracker::Taken;
use camino::Utf8Path;
use std::collections::{BTreeMap, BTreeSet};

/// Checks all environments together.
pub fn check(environments: &BTreeMap<Name, Placed>, report: &mut Report) {
    known_dependencies(environments, report);
    cycles(environments, report);
    renames(environments, report);
    shared_hosts(environments, report);
    shared_updates(environments, report);
    report.concerning(None);
}

/// Refuses a former name that another environment has or had: the name identifies one environment on its host.
fn renames(environments: &BTreeMap<Name, Placed>, report: &mut Report) {
    let mut claimed: BTreeMap<&Name, &Name> = BTreeMap::new();
    for (name, placed) in environments {
        let Some(former) = &placed.environment.renamed_from else { continue };
        report.concerning(Some(name.as_str()));
        let other = environments.get_key_value(former).map(|(other, _)| other);
        if let Some(other) = other.or_else(|| claimed.insert(former, name)) {
            let message = format!("`{name}` was renamed from `{former}`, but `{other}` also has or had that name");
            report.fault(placed.key, message, "Remove the wrong `renamed_from`");
        }
    }
}

fn known_dependencies(environments: &BTreeMap<Name, Placed>, report: &mut Report) {
    for (name, placed) in environments {
        report.concerning(Some(name.as_str()));
        for dependency in &placed.depends_on {
            if dependency.value == name.as_str() {
                let message = format!("`{name}` depends on itself");
                report.fault(dependency.spot, message, "Remove it from `depends_on`");
            } else if !Name::parse(&dependency.value).is_ok_and(|known| environments.contains_key(&known)) {
                let message =
                    format!("`{name}` depends on `{}`, which is not an environment", shown(&dependency.value));
                let names: Vec<&str> = environments.keys().take(20).map(Name::as_str).collect();
                let near = suggest::nearest(&dependency.value, environments.keys().map(Name::as_str));
                let hint = near.map_or_else(
                    || suggest::hint(&dependency.value, &names, "environments"),
                    |near| format!("Did you mean `{near}`?"),
                );
                report.fault(dependency.spot, message, hint);
            }
        }
    }
}

/// Walks every chain of dependencies once, without recursion: a chain may be as long as the file.
fn cycles(environments: &BTreeMap<Name, Placed>, report: &mut Report) {
    let mut done: BTreeSet<&Name> = BTreeSet::new();
    for start in environments.keys() {
        let mut path: Vec<(&Name, usize)> = vec![(start, 0)];
        while let Some((name, next)) = path.last_mut() {
            let name = *name;
            let wanted = environments.get(name).filter(|_| !done.contains(name));
            let Some(dependency) = wanted.and_then(|placed| placed.environment.depends_on.get(*next)) else {
                done.insert(name);
                path.pop();
                continue;
            };
            *next += 1;
            if dependency == name {
                continue;
            }
            if let Some(from) = path.iter().position(|(on_path, _)| *on_path == dependency) {
                let names: Vec<&str> = path[from..].iter().map(|(name, _)| name.as_str()).collect();
                cycle(&names, environments, report);
            } else if !done.contains(dependency) {
                path.push((dependency, 0));
            }
        }
    }
}

fn cycle(names: &[&str], environments: &BTreeMap<Name, Placed>, report: &mut Report) {
    let Some((first, last)) = names.first().zip(names.last()) else { return };
    let placed = environments.iter().find(|(name, _)| name.as_str() == *last).map(|(_, placed)| placed);
    let Some(placed) = placed else { return };
    let closing = placed.depends_on.iter().find(|written| written.value == *first);
    let spot = closing.map_or(placed.key, |written| written.spot);
    report.concerning(None);
    let message = format!("The environments depend on each other: {} → {first}", names.join(" → "));
    report.fault(spot, message, "Remove one of these from `depends_on`");
}

/// Refuses environments on one host that share a Compose project, a directory or a port.
fn shared_hosts(environments: &BTreeMap<Name, Placed>, report: &mut Report) {
    let mut hosts: BTreeMap<HostId, Vec<(&Name, &Placed)>> = BTreeMap::new();
    for (name, placed) in environments {
        if placed.environment.application.is_some() && !placed.environment.address.is_empty() {
            hosts.entry(placed.environment.host()).or_default().push((name, placed));
        }
    }
    for sharing in hosts.values().filter(|sharing| sharing.len() > 1) {
        shared_projects(sharing, report);
        shared_directories(sharing, report);
        shared_ports(sharing, report);
    }
}

/// Refuses two trackers with one port. `check` compares the ports that Compose files publish.
fn shared_ports(sharing: &[(&Name, &Placed)], report: &mut Report) {
    let mut taken: BTreeMap<(u16, Protocol), Vec<(&Name, Taken)>> = BTreeMap::new();
    for (name, placed) in sharing {
        let Some(Source::Tracker(tracker)) = placed.environment.application.as_ref().map(|it| &it.source) else {
            continue;
        };
        for port in tracker.ports() {
            let others = taken.entry((port.port, port.protocol)).or_default();
            let other = others.iter().find(|(other, before)| other != name && before.collides(&port));
            if let Some((other, before)) = other {
                report.concerning(Some(name.as_str()));
                let (number, protocol) = (port.port, port.protocol.name());
                let message = format!(
                    "`{name}` and `{other}` share a host, and {} and {} use the same port, {number}/{protocol}",
                    port.by, before.by
                );
                report.fault(placed.key, message, "Give one of them another port or another host");
            }
            others.push((name, port));
        }
    }
}

/// Refuses different security updates for one host. A host has one update configuration.
fn shared_updates(environments: &BTreeMap<Name, Placed>, report: &mut Report) {
    let mut first: BTreeMap<HostId, (&Name, &SecurityUpdates)> = BTreeMap::new();
    for (name, placed) in environments {
        let Some(wish) = &placed.environment.security_updates else { continue };
        if placed.environment.address.is_empty() {
            continue;
        }
        let (other, asked) = *first.entry(placed.environment.host()).or_insert((name, wish));
        if asked != wish {
            report.concerning(Some(name.as_str()));
            let message = format!("`{name}` and `{other}` share a host but have different security updates");
            report.fault(
                placed.security_updates,
                message,
                "Give both the same `reboot_at`, or set it for only one of them",
            );
        }
    }
}

fn shared_projects(sharing: &[(&Name, &Placed)], report: &mut Report) {
    let mut projects: BTreeMap<&str, &Name> = BTreeMap::new();
    for (name, placed) in sharing {
        let Some(application) = &placed.environment.application else { continue };
        if let Some(other) = projects.insert(&application.project, name) {
            report.concerning(Some(name.as_str()));
            let message = format!(
                "`{name}` and `{other}` share a host and the Compose project `{}`",
                shown(&application.project)
            );
            report.fault(placed.project, message, "Give each its own `project`, or leave out both");
        }
    }
}

fn shared_directories(sharing: &[(&Name, &Placed)], report: &mut Report) {
    let mut taken: BTreeMap<&Utf8Path, &Name> = BTreeMap::new();
    for (name, placed) in sharing {
        let Some(application) = &placed.environment.application else { continue };
        taken.entry(&application.host_directory).or_insert(name);
    }
    for (name, placed) in sharing {
        let Some(application) = &placed.environment.application else { continue };
        let around = application
            .host_directory
            .ancestors()
            .find_map(|directory| taken.get(directory).filter(|owner| *owner != name).map(|owner| (directory, *owner)));
        if let Some((directory, owner)) = around {
            report.concerning(Some(name.as_str()));
            let relation = if directory == application.host_directory { "use the same" } else { "are in one" };
            let message = format!("`{name}` and `{owner}` share a host and {relation} directory, `{directory}`");
            report.fault(placed.host_directory, message, "Give each its own `host_directory`");
        }
    }
}
