//! Rules of the `drift` section. Does not check that a host has the facts.

use super::scalars::line;
use super::shown;
use crate::manifest::environment::{Drift, DriftPolicy, Ignore};
use crate::manifest::faults::Report;
use crate::manifest::spec::{DriftSpec, IgnoreSpec};
use crate::manifest::suggest;
use crate::manifest::written::Written;
use crate::model::state::Kind;

/// Reads the section.
pub fn read(spec: &DriftSpec, report: &mut Report) -> Drift {
    let policy = spec.policy.value().copied().unwrap_or(DriftPolicy::Correct);
    let ignore = spec.ignore.value().into_iter().flatten();
    Drift { policy, ignore: ignore.filter_map(|written| ignored(written, report)).collect() }
}

fn ignored(written: &Written<IgnoreSpec>, report: &mut Report) -> Option<Ignore> {
    let spec = &written.value;
    match &spec.reason.0 {
        Some(reason) => _ = line(reason, "reason", report),
        None => report.fault(written.spot, "Ignored drift needs a reason", "Add `reason: WHY`"),
    }
    let Some(fact) = &spec.fact.0 else {
        report.fault(written.spot, "Ignored drift names no fact", "Add `fact: KIND:FACT`, as in files:app/motd");
        return None;
    };
    let text = shown(&fact.value);
    let Some((kind, name)) = fact.value.split_once(':').filter(|(_, name)| !name.is_empty()) else {
        let hint = "Write KIND:FACT as plans name them, as in files:app/motd";
        report.fault(fact.spot, format!("`{text}` is not the name of a fact"), hint);
        return None;
    };
    // Access is excluded: every other kind depends on a host that is claimed and reachable.
    let kinds: Vec<&str> = Kind::ALL.iter().filter(|kind| **kind != Kind::Access).map(|kind| kind.name()).collect();
    let Some(kind) = Kind::ALL.into_iter().find(|one| one.name() == kind && kinds.contains(&kind)) else {
        let message = format!("`{}` is not a kind whose drift can be ignored", shown(kind));
        report.fault(fact.spot, message, suggest::hint(kind, &kinds, "kinds"));
        return None;
    };
    if name.strip_suffix('*').unwrap_or(name).contains('*') {
        report.fault(fact.spot, format!("`{text}` contains a `*` before its end"), "A `*` is allowed only at the end");
        return None;
    }
    let reason = spec.reason.value().cloned().unwrap_or_default();
    Some(Ignore { kind, fact: name.to_owned(), reason, quarantined: false })
}
