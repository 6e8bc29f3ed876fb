//! Steps of a plan, in as much detail as a page has room for.

use super::COUNTED;
use super::inline::{code, count, cut};
use crate::model::defuse;
use crate::model::event::{Change, PlannedStep};
use crate::render::text;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The amount of detail. The least important parts are omitted first.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// The most lines of each diff.
    pub(super) diff: usize,
    /// The most facts of each step.
    pub(super) facts: usize,
    /// True if steps are listed, false if they are counted.
    pub(super) steps: bool,
    pub(super) graph: bool,
}

const ALL: usize = usize::MAX;
pub(super) const LEVELS: [Level; 7] = [
    Level { diff: ALL, facts: ALL, steps: true, graph: true },
    Level { diff: 60, facts: ALL, steps: true, graph: true },
    Level { diff: 15, facts: ALL, steps: true, graph: true },
    Level { diff: 0, facts: ALL, steps: true, graph: true },
    Level { diff: 0, facts: 20, steps: true, graph: true },
    Level { diff: 0, facts: 0, steps: true, graph: false },
    Level { diff: 0, facts: 0, steps: false, graph: false },
];

/// The amount that a level omits.
#[derive(Default)]
pub(super) struct Omitted {
    pub(super) diffs: usize,
    pub(super) facts: usize,
    pub(super) steps: usize,
    pub(super) graph: bool,
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
            let _ = writeln!(out, "- {}: {}", code(&cut(name, 40)), count(own.len(), "step"));
        }
        if groups.len() > COUNTED {
            let _ = writeln!(out, "- … and {} environments more", groups.len() - COUNTED);
        }
        out.push('\n');
        return;
    }
    for (name, own) in groups {
        let title = format!("{}: {}", code(&cut(name, 40)), count(own.len(), "step"));
        let _ = write!(out, "<details><summary>{title}</summary>\n\n");
        for step in &own {
            one(out, step, level, omitted);
        }
        out.push('\n');
        for change in own.iter().flat_map(|step| &step.changes) {
            diff(out, change, level, omitted);
        }
        out.push_str("</details>\n\n");
    }
}

fn one(out: &mut String, step: &PlannedStep, level: Level, omitted: &mut Omitted) {
    let _ = writeln!(out, "- **{}** {}: {}", text::word(step.action), step.kind, code(&step.reason.name()));
    omitted.facts += step.changes.len().saturating_sub(level.facts);
    for change in step.changes.iter().take(level.facts) {
        let fact = code(&cut(&change.fact, 200));
        let value = |value: &str| code(&text::value(value));
        let values = match (&change.from, &change.to) {
            (Some(from), Some(to)) => format!("{} → {}", value(from), value(to)),
            (None, Some(to)) => format!("new, {}", value(to)),
            (Some(from), None) => format!("goes, was {}", value(from)),
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

pub(super) fn left_out(omitted: &Omitted) -> String {
    let mut parts = Vec::new();
    if omitted.diffs > 0 {
        parts.push(format!("the diffs of {}", count(omitted.diffs, "file")));
    }
    if omitted.facts > 0 {
        parts.push(count(omitted.facts, "change"));
    }
    if omitted.steps > 0 {
        parts.push(format!(
            "what {} in detail",
            if omitted.steps == 1 { "1 step does".into() } else { format!("{} steps do", omitted.steps) }
        ));
    }
    if omitted.graph {
        parts.push("the graph".to_owned());
    }
    if parts.is_empty() { String::new() } else { format!("Left out for its length: {}\n", parts.join(", ")) }
}
