//! A plan and the result of a run, as Markdown for a comment or a job's summary. Keeps within the length limit of a
//! comment, and escapes every value.

use super::{graph, text};
use crate::model::defuse;
use crate::model::event::{Change, EnvironmentView, PlanView, PlannedStep, ResultView};
use crate::model::failure::Failure;
use crate::model::state::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The length limit of a comment (in bytes, so that it holds for any way of counting characters).
pub const LIMIT: usize = 60_000;
/// The most steps of a graph. A larger graph is not readable.
const GRAPH: usize = 40;
/// The most warnings that are listed.
const WARNINGS: usize = 5;
/// The most failures that are listed, and the most names in other short lists.
const FEW: usize = 10;
/// The most environments that are listed with counts.
const COUNTED: usize = 60;

/// The amount of detail. The least important parts are omitted first.
#[derive(Clone, Copy)]
struct Level {
    /// The most lines of each diff.
    diff: usize,
    /// The most facts of each step.
    facts: usize,
    /// The most characters of each value.
    value: usize,
    /// True if steps are listed, false if they are counted.
    steps: bool,
    graph: bool,
}

const ALL: usize = usize::MAX;
const LEVELS: [Level; 8] = [
    Level { diff: ALL, facts: ALL, value: ALL, steps: true, graph: true },
    Level { diff: 60, facts: ALL, value: ALL, steps: true, graph: true },
    Level { diff: 15, facts: ALL, value: ALL, steps: true, graph: true },
    Level { diff: 0, facts: ALL, value: ALL, steps: true, graph: true },
    Level { diff: 0, facts: ALL, value: 160, steps: true, graph: true },
    Level { diff: 0, facts: 20, value: 160, steps: true, graph: true },
    Level { diff: 0, facts: 0, value: 0, steps: true, graph: false },
    Level { diff: 0, facts: 0, value: 0, steps: false, graph: false },
];

/// The amount that a level omits.
#[derive(Default)]
struct Omitted {
    diffs: usize,
    facts: usize,
    /// Values whose end is cut off.
    ends: usize,
    steps: usize,
    graph: bool,
    /// The environments and kinds of the steps with omitted parts.
    of: BTreeSet<(String, Kind)>,
}

impl Omitted {
    fn count(&self) -> usize {
        self.diffs + self.facts + self.ends
    }
}

/// The content of a comment on a pull request.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The manifest as the user named it.
    pub file: String,
    /// The plan; `None` if there are only failures.
    pub plan: Option<PlanView>,
    /// Warnings about the plan: the environment, if there is one, and the message.
    pub warnings: Vec<(Option<String>, String)>,
    /// Failures outside the plan.
    pub failures: Vec<Failure>,
}

/// Returns the plan as a comment on a pull request.
#[must_use]
pub fn plan(page: &Page) -> String {
    let mut text = String::new();
    for level in LEVELS {
        // The length is measured after escaping, which makes marks of commands longer.
        text = defuse::whole(&at(level, page), false);
        if text.len() < LIMIT {
            break;
        }
    }
    text
}

/// Returns the result of a run: the state of each environment, and the failures.
#[must_use]
pub fn result(environments: &[EnvironmentView], failures: &[Failure], result: &ResultView) -> String {
    let outcome = result.outcome.name();
    let mut out = format!("### deployer {}: {outcome}, exit code {}\n\n", code(result.command), result.exit_code);
    if !environments.is_empty() {
        out += "| Environment | Stage | Health | Endpoints |\n|---|---|---|---|\n";
    }
    for one in environments.iter().take(COUNTED) {
        let endpoints = one.endpoints.iter().take(FEW).map(|endpoint| code(endpoint)).collect::<Vec<_>>().join(" ");
        let _ = writeln!(out, "| {} | {} | {} | {endpoints} |", code(&one.name), one.stage, health(one));
    }
    if environments.len() > COUNTED {
        let _ = writeln!(out, "\n… and {} more", environments.len() - COUNTED);
    }
    out.push('\n');
    defuse::whole(&(out + &failed(failures)), false)
}

fn health(one: &EnvironmentView) -> &'static str {
    use crate::model::event::Health;
    match one.health {
        Health::Healthy => "healthy",
        Health::Starting => "starting",
        Health::Unhealthy => "unhealthy",
        Health::None => "",
    }
}

fn at(level: Level, page: &Page) -> String {
    let mut out = markers(page);
    let Some(plan) = &page.plan else {
        return out + "## No plan was made\n\n" + &warned(&page.warnings) + &failed(&page.failures);
    };
    out += &head(plan);
    out += &warned(&page.warnings);
    out += &failed(&page.failures);
    let mut omitted = Omitted::default();
    let steps = steps(plan, level, &mut omitted);
    // Before the steps, so that nobody takes the part for the whole.
    out + &left_out(&omitted) + &steps
}

fn steps(plan: &PlanView, level: Level, omitted: &mut Omitted) -> String {
    let mut out = String::new();
    let (destructive, others): (Vec<_>, Vec<_>) = plan.steps.iter().partition(|step| step.destructive);
    if !destructive.is_empty() {
        out += "### These steps cannot be undone\n\n";
        groups(&mut out, &destructive, level, omitted);
        if !others.is_empty() {
            out += "### Other steps\n\n";
        }
    }
    groups(&mut out, &others, level, omitted);
    if plan.steps.len() > 1 && level.graph && plan.steps.len() <= GRAPH {
        let _ = write!(out, "```mermaid\n{}```\n\n", graph::mermaid_of_steps(plan));
    } else {
        omitted.graph = plan.steps.len() > 1;
    }
    out
}

/// Returns the hidden lines by which a comment is found again. The first line names the project, which is known only if
/// there is a plan. The second line does not depend on the manifest's content. The text of an HTML comment cannot
/// contain `--`.
fn markers(page: &Page) -> String {
    let marker = |name: &str, value: &str, more: &[char]| {
        let value: String = value.chars().filter(|c| c.is_ascii_alphanumeric() || more.contains(c)).take(200).collect();
        let value = value.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        if value.is_empty() { format!("<!-- {name} -->\n") } else { format!("<!-- {name} {value} -->\n") }
    };
    let project = page.plan.as_ref().map_or("", |plan| plan.project.as_str());
    marker("deployer-plan", project, &['-']) + &marker("deployer-manifest", &page.file, &['-', '_', '.', '/'])
}

fn head(plan: &PlanView) -> String {
    let s = &plan.summary;
    let counts =
        format!("{} to create, {} to update, {} to replace, {} to remove", s.create, s.update, s.replace, s.remove);
    let title = match (plan.steps.is_empty(), plan.is_incomplete()) {
        (false, _) => counts.as_str(),
        (true, false) => "no changes",
        (true, true) => "incomplete",
    };
    let mut out = format!("## Plan of {}: {title}\n\n", code(&cut(&plan.project, 40)));
    if let Some(reference) = &plan.against {
        let _ = writeln!(out, "Compared with {}; no host was contacted\n", code(&cut(reference, 100)));
    }
    if let Some(seconds) = plan.observed_seconds_ago {
        let age = text::duration(std::time::Duration::from_secs(seconds));
        let _ = writeln!(out, "Compared with the state observed {age} ago; no host was contacted\n");
    }
    match plan.converged.len() {
        0 => {}
        1..=8 => {
            let names = plan.converged.iter().map(|name| code(&cut(name, 40))).collect::<Vec<_>>().join(", ");
            let _ = writeln!(out, "No changes in {names}\n");
        }
        many => {
            let _ = writeln!(out, "No changes in {many} environments\n");
        }
    }
    out + &uncompared(plan)
}

fn uncompared(plan: &PlanView) -> String {
    let mut out = String::new();
    for (name, files) in plan.uncompared.iter().take(FEW) {
        let named = files.iter().take(FEW).map(|file| code(&cut(file, 80))).collect::<Vec<_>>().join(", ");
        let more = files.len().saturating_sub(FEW);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(out, "**Not compared** in {}, {}: {named}{more}\n", code(&cut(name, 40)), text::UNCOMPARED);
    }
    if plan.uncompared.len() > FEW {
        let _ = writeln!(out, "**Not compared**: files in {} environments more\n", plan.uncompared.len() - FEW);
    }
    out
}

fn failed(failures: &[Failure]) -> String {
    let mut out = String::new();
    if !failures.is_empty() {
        out += "### Failures\n\n";
    }
    for failure in failures.iter().take(FEW) {
        let on = failure.environment.as_ref().map_or(String::new(), |name| code(&cut(name, 40)) + ": ");
        let place = failure.location.as_ref().map(|at| format!("{}:{}:{}: ", at.file, at.line, at.column));
        let message = cut(&(place.unwrap_or_default() + &failure.message()), 200);
        let _ = writeln!(out, "- {on}{} (<code>{}</code>)", code(&message), failure.reason.code());
    }
    if failures.len() > FEW {
        let _ = writeln!(out, "- … and {} more", failures.len() - FEW);
    }
    if !failures.is_empty() {
        out.push('\n');
    }
    out
}

fn warned(warnings: &[(Option<String>, String)]) -> String {
    let mut out = String::new();
    if !warnings.is_empty() {
        out += "### Warnings\n\n";
    }
    for (environment, message) in warnings.iter().take(WARNINGS) {
        let on = environment.as_ref().map_or(String::new(), |name| code(&cut(name, 40)) + ": ");
        let _ = writeln!(out, "- {on}{}", code(&cut(message, 300)));
    }
    if warnings.len() > WARNINGS {
        let _ = writeln!(out, "- … and {} more", warnings.len() - WARNINGS);
    }
    if !warnings.is_empty() {
        out.push('\n');
    }
    out
}

/// Writes the steps by environment, each environment in its own collapsible section.
fn groups(out: &mut String, steps: &[&PlannedStep], level: Level, omitted: &mut Omitted) {
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
fn left_out(omitted: &Omitted) -> String {
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

fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

fn cut(text: &str, most: usize) -> String {
    let line = defuse::line(text);
    match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Returns text as code with every special character written as an entity. The result is valid in a list, a table and a
/// summary, mentions no user and contains no link. GitHub also makes links of `www.` and of mail addresses, the latter
/// after entities are decoded, so `@` gets an empty comment before it.
fn code(text: &str) -> String {
    let line = defuse::line(text);
    let mut out = String::from("<code>");
    for c in line.chars() {
        let plain = c.is_ascii_alphanumeric() || !c.is_ascii() || matches!(c, ' ' | '-' | '/' | ',' | '(' | ')' | '=');
        let begins_link = out.get(out.len().saturating_sub(3)..).is_some_and(|end| end.eq_ignore_ascii_case("www"));
        if plain || (c == '.' && !begins_link) {
            out.push(c);
        } else {
            out.push_str(if c == '@' { "<!-- -->" } else { "" });
            let _ = write!(out, "&#{};", u32::from(c));
        }
    }
    out + "</code>"
}

#[cfg(test)]
mod tests;
