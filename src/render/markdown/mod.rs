//! A plan and the result of a run, as Markdown for a comment or a job's summary. Keeps within the length limit of a
//! comment, and escapes every value.

mod inline;
mod steps;

use super::{graph, text};
use crate::model::defuse;
use crate::model::event::{EnvironmentView, PlanView, ResultView};
use crate::model::failure::Failure;
use inline::{code, count, cut};
use std::fmt::Write as _;
use steps::{LEVELS, Level, Omitted, groups, left_out};

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
    out += &head(plan, level);
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

fn head(plan: &PlanView, level: Level) -> String {
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
    for one in plan.unchanged.iter().take(FEW) {
        let _ = writeln!(out, "{}\n", code(&cut(&text::unchanged(one), 200)));
    }
    if plan.unchanged.len() > FEW {
        let _ = writeln!(out, "No changes in {} environments more\n", plan.unchanged.len() - FEW);
    }
    out + &uncompared(plan, level)
}

fn uncompared(plan: &PlanView, level: Level) -> String {
    let mut out = String::new();
    for (name, files) in plan.uncompared.iter().take(FEW) {
        let named: Vec<_> = files.iter().take(level.names).map(|file| code(&cut(file, 80))).collect();
        let more = match files.len() - named.len() {
            0 => String::new(),
            more if named.is_empty() => count(more, "file", "files"),
            more => format!(" and {more} more"),
        };
        let (name, named) = (code(&cut(name, 40)), named.join(", "));
        let _ = writeln!(out, "**Not compared** in {name}, {}: {named}{more}\n", text::UNCOMPARED);
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

#[cfg(test)]
mod tests;
