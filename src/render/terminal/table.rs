//! Environments and checks as aligned columns. Names, addresses and endpoints are not cut.

use super::Look;
use crate::model::defuse;
use crate::model::event::{
    ArchiveView, BackupView, CheckView, EnvironmentView, Health, ReleaseView, RunView, VerdictView, Why,
};
use crate::model::state::Stage;
use crate::model::verdict::{Judgement, Vantage};
use crate::render::text;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use jiff::Timestamp;
use std::fmt::Write;
use std::time::Duration;

/// Returns a table of environments: a summary after a run that makes changes, otherwise the full table.
pub(super) fn environments(environments: &[EnvironmentView], command: &str, look: Look) -> String {
    if environments.is_empty() {
        return String::new();
    }
    let is_summary =
        matches!(command, "apply" | "provision" | "configure" | "release" | "run" | "destroy" | "resume" | "restart");
    let mut table = if is_summary {
        table(&["Environment", "Stage", "Health", "Endpoints"], look)
    } else {
        table(&["Environment", "Target", "Stage", "Health", "Drifted", "Address", "Endpoint"], look)
    };
    for environment in environments {
        let name = Cell::new(defuse::line(&environment.name));
        let endpoints = or_dash(&environment.endpoints.iter().map(|e| defuse::line(e)).collect::<Vec<_>>(), " ");
        if is_summary {
            table.add_row([name, stage(environment), health(environment.health), Cell::new(endpoints)]);
        } else {
            table.add_row([
                name,
                Cell::new(environment.target),
                stage(environment),
                health(environment.health),
                Cell::new(or_dash(&environment.drifted, " ")),
                Cell::new(defuse::line(&environment.address)),
                Cell::new(endpoints),
            ]);
        }
    }
    let remarks: String = environments.iter().map(|environment| remarks(environment, look)).collect();
    let gap = if remarks.is_empty() { "" } else { "\n" };
    format!("{}{gap}{remarks}", print(&table))
}

/// Returns a table of the runs for `deployer history`.
pub(super) fn runs(runs: &[RunView], look: Look) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let mut table = table(&["Started", "Command", "Outcome", "Took", "By", "Environments", "Failed"], look);
    for run in runs {
        let outcome = match run.outcome.as_deref() {
            Some("failed") => Cell::new("failed").fg(Color::Red).add_attribute(Attribute::Bold),
            Some(outcome) => Cell::new(defuse::line(outcome)),
            None => Cell::new("not ended").fg(Color::Yellow),
        };
        let took = run.duration_ms.map_or_else(|| "-".to_owned(), |ms| text::duration(Duration::from_millis(ms)));
        let failed: Vec<String> =
            run.failed.iter().map(|step| defuse::line(&format!("{} {}", step.environment, step.kind))).collect();
        table.add_row([
            Cell::new(run.started_at.strftime("%Y-%m-%d %H:%M:%SZ")),
            Cell::new(defuse::line(&run.command)),
            outcome,
            Cell::new(took),
            Cell::new(defuse::line(&run.by)),
            Cell::new(or_dash(&run.environments.iter().map(|e| defuse::line(e)).collect::<Vec<_>>(), " ")),
            Cell::new(or_dash(&failed, ", ")),
        ]);
    }
    print(&table)
}

/// Returns a table of the releases for `deployer history ENV`.
pub(super) fn releases(releases: &[ReleaseView], look: Look) -> String {
    if releases.is_empty() {
        return String::new();
    }
    let mut table = table(&["Release", "Environment", "State", "Remark"], look);
    for release in releases {
        let state = match release {
            ReleaseView { live: true, .. } => "live",
            ReleaseView { kept: true, .. } => "kept",
            _ => "rejected",
        };
        table.add_row([
            Cell::new(defuse::line(&release.release)),
            Cell::new(defuse::line(&release.environment)),
            Cell::new(state),
            Cell::new(release.rejected.as_deref().map(defuse::line).unwrap_or_default()),
        ]);
    }
    format!("\n{}", print(&table))
}

/// Returns a table of the archives for `deployer backup` and `deployer restore`.
pub(super) fn archives(archives: &[ArchiveView], look: Look) -> String {
    if archives.is_empty() {
        return String::new();
    }
    let mut table = table(&["Archive", "Environment", "Made", "Size", "State"], look);
    for archive in archives {
        let state = archive.saved.as_ref().map_or("verified".to_owned(), |path| format!("verified, saved as {path}"));
        table.add_row([
            Cell::new(defuse::line(&archive.archive)),
            Cell::new(defuse::line(&archive.environment)),
            Cell::new(archive.made.strftime("%Y-%m-%d %H:%M:%SZ")),
            Cell::new(text::size(archive.bytes)),
            Cell::new(defuse::line(&state)),
        ]);
    }
    print(&table)
}

/// Returns a table of the checks for `deployer test`.
pub(super) fn checks(checks: &[CheckView], look: Look) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let mut table = table(&["Environment", "Check", "Result", "Found"], look);
    for check in checks {
        let result = if check.passed {
            Cell::new("passed").fg(Color::Green)
        } else {
            Cell::new("failed").fg(Color::Red).add_attribute(Attribute::Bold)
        };
        table.add_row([
            Cell::new(defuse::line(&check.environment)),
            Cell::new(defuse::line(&check.check)),
            result,
            Cell::new(defuse::line(&check.found)),
        ]);
    }
    print(&table)
}

/// Returns a table of the checks of a tracker stack.
pub(super) fn verdicts(verdicts: &[VerdictView], look: Look) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let mut table = table(&["Environment", "Check", "From", "Result", "Found"], look);
    for verdict in verdicts {
        let result = Cell::new(verdict.outcome.name());
        let result = match verdict.outcome {
            Judgement::Passed => result.fg(Color::Green),
            Judgement::Warned => result.fg(Color::Yellow),
            Judgement::Failed => result.fg(Color::Red).add_attribute(Attribute::Bold),
            Judgement::Skipped => result,
        };
        let from = match verdict.vantage {
            Vantage::Outside => "outside",
            Vantage::Inside => "inside",
        };
        table.add_row([
            Cell::new(defuse::line(&verdict.environment)),
            Cell::new(defuse::line(&verdict.name)),
            Cell::new(from),
            result,
            Cell::new(defuse::line(&verdict.detail)),
        ]);
    }
    print(&table)
}

fn table(header: &[&str], look: Look) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    if look.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    if let Some(width) = look.width.and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn print(table: &Table) -> String {
    let mut out = String::new();
    for line in table.lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn stage(environment: &EnvironmentView) -> Cell {
    Cell::new(environment.stage)
}

fn health(health: Health) -> Cell {
    match health {
        Health::Healthy => Cell::new("healthy").fg(Color::Green),
        Health::Starting => Cell::new("starting").fg(Color::Yellow),
        Health::Unhealthy => Cell::new("unhealthy").fg(Color::Red),
        Health::None => Cell::new("-"),
    }
}

fn or_dash<T: ToString>(values: &[T], separator: &str) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

/// Limit of the number of lines about what is unhealthy in one environment, unless the user asks for details.
const UNWELL: usize = 5;

/// Returns the facts that do not fit into a column, one line each.
fn remarks(environment: &EnvironmentView, look: Look) -> String {
    let name = &defuse::line(&environment.name);
    let mut out = String::new();
    if let Some(why) = &environment.unreachable {
        let since = environment.observed_at.map_or("never observed".to_owned(), |at| format!("as observed {at:.0}"));
        let _ = writeln!(out, "{name}: unreachable ({since}): {}", defuse::line(why));
    }
    if let Some(failed) = &environment.failed {
        let step = failed.kind.map(|kind| format!(" at {kind}")).unwrap_or_default();
        let (message, reason) = (defuse::line(&failed.message), defuse::line(&failed.reason));
        let _ = writeln!(out, "{name}: failed{step}: {message} ({reason}, {:.0})", failed.at);
    }
    if environment.health == Health::Unhealthy {
        let shown = if look.verbose { usize::MAX } else { UNWELL };
        for phrase in environment.unwell.iter().take(shown) {
            let _ = writeln!(out, "{name}: unhealthy: {}", defuse::line(phrase));
        }
        let more = environment.unwell.len().saturating_sub(shown);
        if more > 0 {
            let _ = writeln!(out, "{name}: unhealthy: {more} more (-v shows all)");
        }
    }
    if let Some(owner) = &environment.in_progress {
        let _ = writeln!(out, "{name}: locked by another run: {}", defuse::line(owner));
    }
    if let Some(backup) = &environment.backup {
        out += &backups(name, backup, environment.observed_at);
    }
    for left in environment.left.iter().filter(|left| look.verbose || left.why != Why::Ignored) {
        let facts = left.changes.iter().map(|change| defuse::line(&change.fact)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "{name}: not changed: {} {facts} ({})", left.kind, defuse::line(&super::plan::why(left)));
    }
    if environment.suspended && environment.stage == Stage::Destroyed {
        let _ = writeln!(out, "{name}: destroyed. To deploy it again: deployer apply {name}");
    } else if environment.suspended {
        let _ = writeln!(out, "{name}: suspended. To resume it: deployer resume {name}");
    }
    out
}

/// Returns the state of the backups at the time of the last observation.
fn backups(name: &str, backup: &BackupView, now: Option<Timestamp>) -> String {
    let age = backup.last.zip(now).map(|(last, now)| now.duration_since(last).unsigned_abs());
    let last = age.map_or("none yet".to_owned(), |age| format!("{} ago, verified", text::duration(age)));
    let overdue = if backup.overdue { "; overdue" } else { "" };
    let mut out = format!("{name}: last backup: {last}{overdue}\n");
    for (what, why) in
        [("the last backup failed", &backup.failed), ("the command after it failed", &backup.after_failed)]
    {
        if let Some(why) = why {
            let _ = writeln!(out, "{name}: {what}: {}", defuse::line(why));
        }
    }
    if let Some(archive) = backup.restoring.as_deref().map(defuse::line) {
        let _ = writeln!(
            out,
            "{name}: restoring {archive} was interrupted. To start over: deployer restore {name} {archive}"
        );
    }
    out
}
