//! A plan as text. Every step, reason and diff is printed.

use super::Look;
use crate::model::defuse;
use crate::model::event::{Action, Change, Left, PlanView, PlannedStep, Why};
use crate::model::state::Kind;
use crate::render::text;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;
use std::time::Duration;

/// The most facts of a created resource that are all listed. If there are more, only half of this number is listed.
const LISTED: usize = 40;
/// The most lines of a new file that are shown.
const NEW_LINES: usize = 20;
/// The most converged environments that are named. More are counted.
const NAMED: usize = 8;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Returns the whole plan, with destructive steps first.
pub(super) fn text(plan: &PlanView, look: Look) -> String {
    let mut out = String::new();
    if let Some(reference) = &plan.against {
        let _ = writeln!(out, "Compared with {}; no host was contacted\n", defuse::line(reference));
    }
    if let Some(seconds) = plan.observed_seconds_ago {
        let age = text::duration(Duration::from_secs(seconds));
        let _ = writeln!(out, "Compared with the state observed {age} ago; no host was contacted\n");
    }
    let (destructive, others): (Vec<_>, Vec<_>) = plan.steps.iter().partition(|step| step.destructive);
    let [destructive, others] =
        [destructive, others].map(|steps| steps.into_iter().map(Entry::from).collect::<Vec<_>>());
    if !destructive.is_empty() {
        let style = AnsiColor::Red.on_default().bold();
        out += &look.paint(style, "These steps cannot be undone:");
        out += "\n\n";
        entries(&mut out, &destructive, look);
        if !others.is_empty() {
            out += &look.paint(BOLD, "Other steps:");
            out += "\n\n";
        }
    }
    entries(&mut out, &others, look);
    out += &left(&plan.left, look);
    for (environment, files) in &plan.uncompared {
        let (environment, files) = (defuse::line(environment), defuse::line(&files.join(", ")));
        let _ = writeln!(out, "Not compared in {environment}, {}: {files}", text::UNCOMPARED);
    }
    out + &conclusion(plan, look)
}

/// Returns the drift that is left unchanged. Ignored drift is included only in verbose output.
fn left(left: &[Left], look: Look) -> String {
    let shown = left.iter().filter(|left| look.verbose || left.why != Why::Ignored);
    let shown: Vec<Entry<'_>> = shown.map(Entry::from).collect();
    let mut out = String::new();
    if !shown.is_empty() {
        out += &look.paint(BOLD, "Not changed:");
        out += "\n\n";
        entries(&mut out, &shown, look);
    }
    out
}

/// Returns the reason why drift is left unchanged.
pub(super) fn why(left: &Left) -> String {
    let who = match left.why {
        Why::Detect => "drift; drift.policy is detect",
        Why::Ignored => "ignored",
        Why::Quarantined => "quarantined",
    };
    left.reason.as_ref().map_or_else(|| who.to_owned(), |reason| format!("{who}: {reason}"))
}

fn conclusion(plan: &PlanView, look: Look) -> String {
    let converged = names(&plan.converged);
    let unchanged: String = plan.unchanged.iter().map(|one| text::unchanged(one) + "\n").collect();
    if plan.steps.is_empty() {
        let verb = if plan.converged.len() == 1 { "matches" } else { "match" };
        if let Some(reference) = plan.against.as_ref().filter(|_| !plan.converged.is_empty()) {
            return format!("No changes in {converged} since {}\n", defuse::line(reference));
        }
        let others = match plan.converged.len() {
            0 if plan.left.iter().any(|left| left.why != Why::Ignored) => {
                "No changes: the remaining differences are not corrected\n".to_owned()
            }
            // Failures and uncompared files are printed above. It is not known whether there are changes.
            0 if plan.is_incomplete() || !unchanged.is_empty() => String::new(),
            0 => "No changes: there are no environments to compare\n".to_owned(),
            _ => format!("No changes. {converged} {verb} the manifest.\n"),
        };
        return unchanged + &others;
    }
    let mut out = unchanged;
    if !plan.converged.is_empty() {
        let _ = writeln!(out, "No changes in {converged}");
    }
    let s = &plan.summary;
    let counts =
        format!("{} to create, {} to update, {} to replace, {} to remove", s.create, s.update, s.replace, s.remove);
    let _ = writeln!(out, "{} {counts}", look.paint(BOLD, "Plan:"));
    out
}

/// Returns `a, b and c`, or a count if there are many.
fn names(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| defuse::line(name)).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        many if many.len() > NAMED => format!("{} environments", many.len()),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A step, or drift that is left unchanged.
struct Entry<'a> {
    environment: &'a str,
    kind: Kind,
    action: Action,
    reason: String,
    changes: &'a [Change],
}

impl<'a> From<&'a PlannedStep> for Entry<'a> {
    fn from(step: &'a PlannedStep) -> Self {
        let PlannedStep { environment, kind, action, reason, changes, .. } = step;
        Self { environment, kind: *kind, action: *action, reason: reason.name(), changes }
    }
}

impl<'a> From<&'a Left> for Entry<'a> {
    fn from(left: &'a Left) -> Self {
        let Left { environment, kind, changes, .. } = left;
        Self { environment, kind: *kind, action: Action::Update, reason: why(left), changes }
    }
}

/// Writes entries grouped by environment, in the order of each environment's first entry.
fn entries(out: &mut String, entries: &[Entry<'_>], look: Look) {
    let mut order: Vec<&str> = Vec::new();
    let mut groups: std::collections::BTreeMap<&str, Vec<&Entry<'_>>> = std::collections::BTreeMap::new();
    for entry in entries {
        groups.entry(entry.environment).or_insert_with(|| {
            order.push(entry.environment);
            Vec::new()
        });
        groups.entry(entry.environment).and_modify(|group| group.push(entry));
    }
    for environment in order {
        out.push_str(&look.paint(BOLD, &defuse::line(environment)));
        out.push('\n');
        for entry in groups.get(environment).into_iter().flatten() {
            one(out, entry, look);
        }
        out.push('\n');
    }
}

fn one(out: &mut String, step: &Entry<'_>, look: Look) {
    let (symbol, style) = match step.action {
        Action::Create => ("+", AnsiColor::Green.on_default()),
        Action::Update => ("~", AnsiColor::Yellow.on_default()),
        Action::Replace => ("-/+", AnsiColor::Red.on_default()),
        Action::Remove => ("-", AnsiColor::Red.on_default()),
    };
    let symbol = look.paint(style, &format!("{symbol:3}"));
    let reason = look.paint(DIM, &defuse::line(&step.reason));
    let _ = writeln!(out, "  {symbol} {:8}  {reason}", step.kind);

    let listed = match step.action {
        Action::Create if !look.verbose && step.changes.len() > LISTED => LISTED / 2,
        _ => step.changes.len(),
    };
    let shown = &step.changes[..listed];
    let column = shown.iter().map(|change| defuse::line(&change.fact).chars().count()).max().unwrap_or_default();
    for change in shown {
        fact(out, change, column, look);
    }
    if listed < step.changes.len() {
        let _ = writeln!(out, "        … and {} more; --verbose lists them", step.changes.len() - listed);
    }
}

fn fact(out: &mut String, change: &Change, column: usize, look: Look) {
    let (symbol, style, values) = match (&change.from, &change.to) {
        (Some(from), Some(to)) => {
            let (from, to) = text::change(from, to);
            ("~", AnsiColor::Yellow.on_default(), format!("{from} → {to}"))
        }
        (None, Some(to)) => ("+", AnsiColor::Green.on_default(), text::value(to)),
        (Some(from), None) => ("-", AnsiColor::Red.on_default(), text::value(from)),
        (None, None) => (" ", Style::new(), String::new()),
    };
    let mut line = format!("        {} {:column$}  {values}", look.paint(style, symbol), defuse::line(&change.fact));
    if let Some(note) = &change.note {
        line += &look.paint(DIM, &format!("  ({})", defuse::line(note)));
    }
    out.push_str(line.trim_end());
    out.push('\n');
    if let Some(diff) = &change.diff {
        let most = if change.from.is_none() && !look.verbose { NEW_LINES + 1 } else { usize::MAX };
        for line in diff.lines().take(most) {
            let style = match line.as_bytes().first() {
                Some(b'+') => AnsiColor::Green.on_default(),
                Some(b'-') => AnsiColor::Red.on_default(),
                Some(b'@') => AnsiColor::Cyan.on_default(),
                _ => Style::new(),
            };
            let _ = writeln!(out, "            {}", look.paint(style, &defuse::controls(line)));
        }
        let more = diff.lines().count().saturating_sub(most);
        if more > 0 {
            let _ = writeln!(out, "            … and {more} more lines; --verbose shows them");
        }
    }
}
