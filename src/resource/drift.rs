//! Which differences nobody asked for in the manifest, and which of them belong to the host. Never decides whether
//! the others are corrected.

use super::{HostFacts, Subject, files, firewall, observed, schedules, scripts, services, updates, wanted};
use crate::manifest::environment::{Environment, Ignore};
use crate::model::diff;
use crate::model::event::Change;
use crate::model::state::{Facts, Kind, State};
use camino::Utf8PathBuf;
use std::collections::{BTreeMap, BTreeSet};

/// What the manifest asks of each kind that no release describes, as one digest a kind: equal digests, equal wishes.
#[must_use]
pub fn wishes(subject: &Subject<'_>, host: &HostFacts) -> BTreeMap<Kind, String> {
    // What is wanted may depend on the system and on what is there; the wish only on the system.
    let bare = HostFacts { access: host.access.clone(), ..HostFacts::default() };
    let kinds = subject.kinds(crate::model::state::Stage::Running).into_iter().filter(|kind| !kind.is_of_release());
    let digest = |kind| {
        let facts = serde_json::to_vec(&wanted(kind, subject, &bare)).unwrap_or_default();
        (kind, blake3::hash(&facts).to_hex()[..16].to_owned())
    };
    let machine =
        subject.environment.provision.iter().map(|_| (Kind::Infrastructure, host.infrastructure.digest.clone()));
    kinds.filter(|kind| !matches!(kind, Kind::Infrastructure | Kind::Access)).map(digest).chain(machine).collect()
}

/// Whether a difference of this kind is drift: what the manifest asks of it was once met. `met` are the wishes that
/// were. That the host is ours is never drift: everything else stands on it.
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

/// Whether the release that is wanted converged on this host, or is held back for the one that did.
fn is_released(subject: &Subject<'_>, host: &HostFacts) -> bool {
    files::held(subject, host).is_some()
        || host.files.current.as_ref().map(|record| &record.digest) == files::identity(subject, host).as_ref()
}

/// Whether a release is on its way to the host and did not get there.
#[must_use]
pub fn is_between_releases(host: &HostFacts) -> bool {
    host.files.staged.is_some() || host.files.swapping.is_some()
}

/// Makes what is wanted of every ignored fact that drifted what it is.
pub(super) fn ignore(subject: &Subject<'_>, host: &HostFacts, desired: &mut State) {
    if subject.environment.drift.ignore.is_empty() {
        return;
    }
    let seen = observed(subject, host);
    // Files see to it themselves: one file of a new release can be the host's own while the others are not.
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
            if change.fact == services::RELEASE || rule(subject, *kind, &change.fact).is_none() {
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
    subject.environment.drift.ignore.iter().find(|rule| rule.covers(kind, fact))
}

/// Ignored differences, each with the rule that says so.
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

/// The files of the release that are the host's own: ignored, once released, and since then changed there.
///
/// One that Compose parses, such as `.env`, is kept and not reported like any other, and services that mount it have it as it is; but
/// Compose reads the release's text, as [`files::in_release`] gives it no other. Nobody who can write there, such as a service that mounts the
/// directory, then chooses what root starts. To refuse such rules would end manifests whose `files:*` is harmless.
#[must_use]
pub(super) fn kept_files(subject: &Subject<'_>, host: &HostFacts) -> BTreeSet<Utf8PathBuf> {
    // Of a directory that is gone as a whole, nothing is kept.
    let any = !subject.environment.drift.ignore.is_empty() && !host.files.live.is_empty();
    let Some(release) = subject.release.filter(|_| any) else { return BTreeSet::new() };
    let paths = release.files.keys().filter(|path| rule(subject, Kind::Files, path.as_str()).is_some());
    paths.filter(|path| files::changed_by_hand(subject, host, path)).cloned().collect()
}

/// The services whose state is the host's own affair, where some are.
#[must_use]
pub(super) fn kept_services(subject: &Subject<'_>, host: &HostFacts) -> BTreeSet<String> {
    let ignored = ignored(subject, host).into_iter();
    ignored.filter(|(kind, ..)| *kind == Kind::Services).map(|(_, change, _)| change.fact).collect()
}
