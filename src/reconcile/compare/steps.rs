//! Steps between the two sides of one environment.

use super::side::{ASIDE, Side, usual};
use super::snapshot::{Link, Object};
use crate::model::diff;
use crate::model::event::{Action, PlannedStep, StepReason};
use crate::model::state::{Facts, Kind, Stage, State};
use crate::reconcile::annotate;
use crate::release::sent::File;
use crate::resource::{self, remove};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the steps of one environment.
pub fn between(before: Option<Side>, mut now: Side) -> Vec<PlannedStep> {
    let name = now.prepared.name().to_owned();
    let stage = now.prepared.environment.stage;
    let Some(mut before) = before else {
        let kinds = now.prepared.subject().kinds(stage);
        let usual = usual(&name);
        let is_usual = |fact: &String, value: &String| usual.get(fact) == Some(value);
        now.state.0.values_mut().for_each(|facts| facts.retain(|fact, value| !is_usual(fact, value)));
        // Settings of kinds that its stage leaves out are shown with the first kind.
        let others: Vec<Kind> = now.state.0.keys().filter(|kind| !kinds.contains(kind)).copied().collect();
        let others: Facts =
            others.iter().filter_map(|kind| now.state.0.remove(kind)).flat_map(|facts| aside(&facts)).collect();
        now.state.0.entry(kinds.first().copied().unwrap_or(Kind::Access)).or_default().extend(others);
        let mut steps = diff::diff(&name, &Kind::ALL, &State::default(), &now.state, &|_| false, &alone);
        annotate(&mut steps, None, &now);
        return steps;
    };
    if stage == Stage::Destroyed && before.prepared.environment.stage != Stage::Destroyed {
        return removal(&name, &before.state, &now.state);
    }
    let unread = |side: &Side| {
        let unread = side.objects.iter().filter(|(_, object)| !object.read);
        unread.map(|(path, _)| path.clone()).collect::<BTreeSet<_>>()
    };
    let unread: BTreeSet<Utf8PathBuf> = [&before, &now].into_iter().flat_map(unread).collect();
    by_objects(&mut before, &unread);
    by_objects(&mut now, &unread);
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| before.state.0.contains_key(kind) || now.state.0.contains_key(kind))
        .collect();
    let subject = now.prepared.subject();
    let follows = |kind: Kind, changed: &BTreeMap<Kind, BTreeSet<String>>| match kind {
        Kind::Images => {
            changed.get(&Kind::Files).filter(|files| resource::images::follows(&subject, files)).map(|_| Kind::Files)
        }
        Kind::Services => [Kind::Files, Kind::Images].into_iter().find(|leader| changed.contains_key(leader)),
        _ => None,
    };
    let mut steps = diff::diff(&name, &kinds, &before.state, &now.state, &|_| false, &follows);
    annotate(&mut steps, Some(&before), &now);
    steps
}

/// Returns no kind that another one follows.
fn alone(_: Kind, _: &BTreeMap<Kind, BTreeSet<String>>) -> Option<Kind> {
    None
}

/// Returns the facts that are no files, checks or services.
fn aside(facts: &Facts) -> Facts {
    let aside = facts.iter().filter(|(fact, _)| fact.starts_with(ASIDE));
    aside.map(|(fact, value)| (fact.clone(), value.clone())).collect()
}

/// Compares files by their objects, because one of the sides did not read their contents.
fn by_objects(side: &mut Side, unread: &BTreeSet<Utf8PathBuf>) {
    let key = &side.prepared.fallback_key;
    let facts = side.state.0.entry(Kind::Files).or_default();
    for (path, Object { id, size, .. }) in unread.iter().filter_map(|path| Some((path, side.objects.get(path)?))) {
        if let Some(value) = facts.get_mut(path.as_str()) {
            let head = value.rsplit_once(' ').map_or("", |(head, _)| head);
            *value = if value.contains("keyed:") {
                format!("{head} keyed:{}", key.digest(blake3::hash(id.as_bytes()).as_bytes()))
            } else {
                format!("{head} object {id} of {size} bytes")
            };
        }
    }
}

/// Returns the steps that remove everything, with the other changes of the manifest, which later runs of `apply` use.
fn removal(name: &str, before: &State, now: &State) -> Vec<PlannedStep> {
    let there = |kind: &Kind| before.0.get(kind).is_some_and(|facts| !facts.is_empty());
    let step = |kind| PlannedStep {
        environment: name.to_owned(),
        kind,
        action: Action::Remove,
        reason: StepReason::Destroyed,
        destructive: true,
        changes: Vec::new(),
    };
    let mut steps: Vec<PlannedStep> = remove::ORDER.into_iter().filter(there).map(step).collect();
    let settings = |state: &State| State(state.0.iter().map(|(kind, facts)| (*kind, aside(facts))).collect());
    for step in diff::diff(name, &Kind::ALL, &settings(before), &settings(now), &|_| false, &alone) {
        match steps.iter_mut().find(|removal| removal.kind == step.kind) {
            Some(removal) => removal.changes = step.changes,
            None => steps.push(step),
        }
    }
    steps
}

/// Adds diffs of texts that may be shown, and notes about secrets, links and contents that are not shown.
fn annotate(steps: &mut [PlannedStep], before: Option<&Side>, now: &Side) {
    let mut room = annotate::Room::default();
    for change in steps.iter_mut().filter(|step| step.kind == Kind::Files).flat_map(|step| &mut step.changes) {
        let path = Utf8Path::new(&change.fact);
        let files = (before.and_then(|before| before.file(path)), now.file(path));
        let becomes_secret = matches!(files, (Some(was), Some(is)) if !was.secret && is.secret);
        let (old, new) = (before.and_then(|before| before.text(path, false)), now.text(path, becomes_secret));
        if let Some(old) = old.as_ref().filter(|_| new.is_some() || change.to.is_none()) {
            let new = new.as_deref().unwrap_or_default();
            change.diff = (old != new).then(|| annotate::unified(old, new));
        }
        let note = note(path, now, change.from.is_some());
        let content = match files {
            (None, Some(File { secret: false, sha256, .. })) if new.is_some() || sha256.is_some() => {
                room.show(change, new.as_deref())
            }
            (Some(File { secret: false, .. }), Some(File { secret: true, .. })) => Some("a secret since this change"),
            (Some(File { secret: true, .. }), Some(File { secret: false, .. })) => Some("a secret before this change"),
            (Some(was), Some(_)) if !was.secret && (old.is_none() || new.is_none()) => Some(annotate::UNSHOWN),
            _ => None,
        };
        change.note = annotate::joined([content.map(str::to_owned), note]);
    }
}

fn note(path: &Utf8Path, now: &Side, was: bool) -> Option<String> {
    let secret = if was { "secret, changed" } else { "secret" };
    match (now.file(path), now.links.get(path)) {
        (Some(file), _) if file.seed => Some("a seed: only hosts without it receive it".to_owned()),
        (Some(file), _) if file.secret && file.sha256.is_some() => Some(secret.to_owned()),
        (_, Some(Link { inside: false, .. })) => Some("has no target in the repository".to_owned()),
        (Some(file), None) if file.sha256.is_none() && now.texts.contains_key(path) => {
            Some("its template; secrets are not compared".to_owned())
        }
        (Some(file), _) if file.secret => Some(secret.to_owned()),
        _ => None,
    }
}
