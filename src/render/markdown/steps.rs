//! Steps of a plan, in as much detail as a page has room for.

use super::inline::{code, count, cut};
use super::{COUNTED, FEW};
use crate::model::defuse;
use crate::model::event::{Change, PlannedStep};
use crate::model::state::Kind;
use crate::render::text;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The amount of detail. The least important parts are omitted first.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// The most lines of each diff.
    pub(super) diff: usize,
    /// The most facts of each step.
    pub(super) facts: usize,
    /// The most characters of each value.
    value: usize,
    /// The most files that are named of those that are not compared.
    pub(super) names: usize,
    /// True if steps are listed, false if they are counted.
    pub(super) steps: bool,
    pub(super) graph: bool,
}

const ALL: usize = usize::MAX;
pub(super) const LEVELS: [Level; 8] = [
    Level { diff: ALL, facts: ALL, value: ALL, names: FEW, steps: true, graph: true },
    Level { diff: 60, facts: ALL, value: ALL, names: FEW, steps: true, graph: true },
    Level { diff: 15, facts: ALL, value: ALL, names: FEW, steps: true, graph: true },
    Level { diff: 0, facts: ALL, value: ALL, names: FEW, steps: true, graph: true },
    Level { diff: 0, facts: ALL, value: 160, names: FEW, steps: true, graph: true },
    Level { diff: 0, facts: 20, value: 160, names: 1, steps: true, graph: true },
    Level { diff: 0, facts: 0, value: 0, names: 1, steps: true, graph: false },
    Level { diff: 0, facts: 0, value: 0, names: 0, steps: false, graph: false },
];

/// The amount that a level omits.
#[derive(Default)]
pub(super) struct Omitted {
    pub(super) diffs: usize,
    pub(super) facts: usize,
    /// Values whose end is cut off.
    ends: usize,
    pub(super) steps: usize,
    pub(super) graph: bool,
    /// The environments and kinds of the steps with omitted parts.
    of: BTreeSet<(String, Kind)>,
}

impl Omitted {
    fn count(&self) -> usize {
        self.diffs + self.facts + self.ends
    }
}

/// Writes the steps by environment, each environment in its own collapsible section.
pub(super) fn groups(out: &mut String, steps: &[&PlannedStep], level: Level, omitted: &mut Omitted) {
    let mut groups: BTreeMap<&str, Vec<&PlannedStep>> = BTreeMap::new();
    for step in steps {
        groups.entry(&step.environment).or_default().push(step);
    }
    if !level.steps {
        omitted.steps += steps.len();
        for (name, own) in groups.iter().take(COUNTED) {
            let _ = writeln!(out, "- {}: {}", code(&cut(name, 40)), count(own.len(), "step", "steps"));
        }
        if groups.len() > COUNTED {
            let _ = writeln!(out, "- … and {} environments more", groups.len() - COUNTED);
        }
        out.push('\n');
        return;
    }
    for (name, own) in groups {
        let title = format!("{}: {}", code(&cut(name, 40)), count(own.len(), "step", "steps"));
        let _ = write!(out, "<details><summary>{title}</summary>\n\n");
        for step in &own {
            noting(step, omitted, |omitted| one(out, step, level, omitted));
        }
        out.push('\n');
        for step in &own {
            noting(step, omitted, |omitted| step.changes.iter().for_each(|change| diff(out, change, level, omitted)));
        }
        out.push_str("</details>\n\n");
    }
}

/// Writes a part of a step, and records the step if something is omitted.
fn noting(step: &PlannedStep, omitted: &mut Omitted, write: impl FnOnce(&mut Omitted)) {
    let before = omitted.count();
    write(omitted);
    if omitted.count() > before {
        omitted.of.insert((step.environment.clone(), step.kind));
    }
}

fn one(out: &mut String, step: &PlannedStep, level: Level, omitted: &mut Omitted) {
    let _ = writeln!(out, "- **{}** {}: {}", text::word(step.action), step.kind, code(&step.reason.name()));
    omitted.facts += step.changes.len().saturating_sub(level.facts);
    for change in step.changes.iter().take(level.facts) {
        let fact = code(&cut(&change.fact, 200));
        let mut value = |value: &str| {
            let more = value.chars().count().saturating_sub(level.value);
            if more == 0 {
                return code(value);
            }
            omitted.ends += 1;
            format!("{} and {}", code(&cut(value, level.value)), count(more, "character more", "characters more"))
        };
        let values = match (&change.from, &change.to) {
            (Some(from), Some(to)) => {
                let (from, to) = text::change(from, to);
                format!("{} → {}", value(&from), value(&to))
            }
            (None, Some(to)) => format!("new, {}", value(&text::value(to))),
            (Some(from), None) => format!("goes, was {}", value(&text::value(from))),
            (None, None) => String::new(),
        };
        let note = change.note.as_ref().map_or(String::new(), |note| format!(" ({})", code(&cut(note, 200))));
        let _ = writeln!(out, "  - {fact}: {values}{note}");
    }
}

fn diff(out: &mut String, change: &Change, level: Level, omitted: &mut Omitted) {
    let Some(diff) = change.diff.as_ref().map(|diff| defuse::controls(diff)) else { return };
    if level.diff == 0 {
        omitted.diffs += 1;
        return;
    }
    let lines: Vec<&str> = diff.lines().take(level.diff).collect();
    let more = diff.lines().count() - lines.len();
    let body = lines.join("\n");
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = write!(out, "{}\n\n{fence}diff\n{body}\n{fence}\n\n", code(&cut(&change.fact, 200)));
    if more > 0 {
        let _ = writeln!(out, "… and {more} more line{}\n", if more == 1 { "" } else { "s" });
    }
}

/// Returns the line that lists what the page does not show.
pub(super) fn left_out(omitted: &Omitted) -> String {
    let mut parts = Vec::new();
    if omitted.diffs > 0 {
        parts.push(format!("the diffs of {}", count(omitted.diffs, "file", "files")));
    }
    if omitted.ends > 0 {
        parts.push(format!("the end of {}", count(omitted.ends, "value", "values")));
    }
    if omitted.facts > 0 {
        parts.push(count(omitted.facts, "change", "changes"));
    }
    if omitted.steps > 0 {
        parts.push(format!("what {} in detail", count(omitted.steps, "step does", "steps do")));
    }
    if omitted.graph {
        parts.push("the graph".to_owned());
    }
    if parts.is_empty() {
        return String::new();
    }
    let named = omitted.of.iter().take(FEW).map(|(name, kind)| format!("{} {kind}", code(&cut(name, 40))));
    let more = omitted.of.len().saturating_sub(FEW);
    let more = (more > 0).then(|| count(more, "step more", "steps more"));
    let of = named.chain(more).collect::<Vec<_>>().join(", ");
    let of = if of.is_empty() { of } else { format!(" (in {of})") };
    format!("**Not shown.** Left out for its length: {}{of}\n\n", parts.join(", "))
}
