//! Detection of drift: differences that nobody asked for in the manifest. Ignored facts belong to the host. This module
//! does not decide whether other drift is corrected.

use super::release_identity::{identity, kept};
use super::services::fact::Fact;
use super::{HostFacts, Subject, firewall, observed, schedules, scripts, updates, wanted};
use crate::manifest::environment::{Environment, Ignore};
use crate::model::diff;
use crate::model::event::Change;
use crate::model::state::{Facts, Kind, State};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the manifest's wishes for each kind that no release describes, as one digest per kind. Equal wishes have
/// equal digests.
#[must_use]
pub fn wishes(subject: &Subject<'_>, host: &HostFacts) -> BTreeMap<Kind, String> {
    // Desired facts may depend on the system and on what the host has. The wish may depend only on the system.
    let bare = HostFacts { access: host.access.clone(), ..HostFacts::default() };
    let kinds = subject.kinds(crate::model::state::Stage::Running).into_iter().filter(|kind| !kind.is_of_release());
    let digest = |kind| {
        let facts = serde_json::to_vec(&wanted(kind, subject, &bare)).unwrap_or_default();
        (kind, blake3::hash(&facts).to_hex()[..16].to_owned())
    };
    let machine =
        subject.environment.provision.iter().map(|_| (Kind::Infrastructure, host.outside.machine.digest.clone()));
    kinds.filter(|kind| !matches!(kind, Kind::Infrastructure | Kind::Access)).map(digest).chain(machine).collect()
}

/// Returns true if a difference of this kind is drift: the manifest's wish for the kind was once met. `met` contains
/// the wishes that were met. The claim on the host is never drift, because everything else depends on it.
#[must_use]
pub fn drifted(kind: Kind, subject: &Subject<'_>, host: &HostFacts, met: &BTreeMap<Kind, String>) -> bool {
    match kind {
        Kind::Firewall => !firewall::asked(subject, host),
        Kind::Updates => updates::drifted(subject, host),
        Kind::Scripts => scripts::drifted(subject, host),
        Kind::Schedules => schedules::drifted(subject, host),
        _ if kind.is_of_release() => is_released(subject, host),
        _ => was_met(kind, subject, host, met),
    }
}

fn was_met(kind: Kind, subject: &Subject<'_>, host: &HostFacts, met: &BTreeMap<Kind, String>) -> bool {
    met.get(&kind).is_some_and(|met| wishes(subject, host).get(&kind) == Some(met))
}

/// Returns true if the wanted release converged on this host, or is rejected and the live release is kept instead.
fn is_released(subject: &Subject<'_>, host: &HostFacts) -> bool {
    kept(subject, host).is_some()
        || host.files.current.as_ref().map(|record| &record.digest) == identity(subject, host).as_ref()
}

/// Returns true if the switch to a release began or is pending, and did not finish.
#[must_use]
pub fn is_between_releases(host: &HostFacts) -> bool {
    host.files.staged.is_some() || host.files.swapping.is_some()
}

/// Sets the desired value of every ignored fact that drifted to its observed value.
pub(super) fn ignore(subject: &Subject<'_>, host: &HostFacts, desired: &mut State) {
    if subject.environment.drift.ignore.is_empty() {
        return;
    }
    let seen = observed(subject, host);
    // Files handle this themselves: one file of a new release can belong to the host while the others do not.
    for (kind, facts) in desired.0.iter_mut().filter(|(kind, _)| **kind != Kind::Files) {
        let none = Facts::new();
        let seen = seen.0.get(kind).unwrap_or(&none);
        let applies = if kind.is_of_release() {
            is_released(subject, host) && !is_between_releases(host)
        } else {
            *kind != Kind::Access && !seen.is_empty()
        };
        if !applies {
            continue;
        }
        for change in diff::changes(seen, facts) {
            if Fact::of(&change.fact) == Fact::Release || rule(subject, *kind, &change.fact).is_none() {
                continue;
            }
            match change.from {
                Some(value) => facts.insert(change.fact, value),
                None => facts.remove(&change.fact),
            };
        }
    }
}

fn rule<'a>(subject: &Subject<'a>, kind: Kind, fact: &str) -> Option<&'a Ignore> {
    // A rule names a service by its own name.
    let fact = Some(fact).filter(|_| kind == Kind::Services).and_then(|fact| Fact::of(fact).service()).unwrap_or(fact);
    subject.environment.drift.ignore.iter().find(|rule| rule.covers(kind, fact))
}

/// Returns the ignored differences, each with the rule that ignores it.
#[must_use]
pub fn ignored<'a>(subject: &Subject<'a>, host: &HostFacts) -> Vec<(Kind, Change, &'a Ignore)> {
    if subject.environment.drift.ignore.is_empty() {
        return Vec::new();
    }
    let mut strict: Environment = subject.environment.clone();
    strict.drift.ignore.clear();
    let strict = Subject { environment: &strict, ..*subject };
    let (seen, now, full) = (observed(subject, host), super::desired(subject, host), super::desired(&strict, host));
    let mut found = Vec::new();
    for (kind, facts) in &full.0 {
        let of = |state: &State| state.0.get(kind).cloned().unwrap_or_default();
        let (seen, now) = (of(&seen), of(&now));
        for change in
            diff::changes(&seen, facts).into_iter().filter(|change| now.get(&change.fact) != change.to.as_ref())
        {
            if let Some(rule) = rule(subject, *kind, &change.fact) {
                found.push((*kind, change, rule));
            }
        }
    }
    found
}

/// Returns the services whose state is ignored.
#[must_use]
pub(super) fn kept_services(subject: &Subject<'_>, host: &HostFacts) -> BTreeSet<String> {
    let ignored = ignored(subject, host);
    let services = ignored.iter().filter(|(kind, ..)| *kind == Kind::Services);
    services.filter_map(|(_, change, _)| Fact::of(&change.fact).service().map(str::to_owned)).collect()
}
