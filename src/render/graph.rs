//! Renders the graph of a plan as text for other programs: DOT, Mermaid, SVG. A name can only become a label.

use super::text;
use crate::model::defuse;
use crate::model::event::{Action, PlanView, PlannedStep};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Returns the graph for Graphviz.
#[must_use]
pub fn dot(plan: &PlanView) -> String {
    let quote = |text: &str| defuse::line(text).replace('\\', "\\\\").replace('"', "\\\"");
    let mut out =
        String::from("digraph plan {\n  rankdir=LR\n  node [shape=box, style=rounded, fontname=sans-serif]\n");
    for (at, step) in plan.steps.iter().enumerate() {
        let color = color(step);
        let label = format!("{}\\n{}", quote(&step.environment), quote(&what(step)));
        let _ = writeln!(out, "  s{at} [label=\"{label}\", color=\"{color}\"]");
    }
    for (at, (name, what)) in without_steps(plan).enumerate() {
        let _ = writeln!(out, "  c{at} [label=\"{}\\n{what}\", color=\"{GREY}\"]", quote(name));
    }
    for (from, to) in &plan.edges {
        let _ = writeln!(out, "  s{from} -> s{to}");
    }
    out + "}\n"
}

/// Returns the graph for Mermaid.
#[must_use]
pub fn mermaid(plan: &PlanView) -> String {
    let mut out = mermaid_of_steps(plan);
    for (at, (name, what)) in without_steps(plan).enumerate() {
        let _ = writeln!(out, "  c{at}[\"{}: {what}\"]", label(name));
    }
    out
}

/// Returns the environments without steps, each with the reason.
fn without_steps(plan: &PlanView) -> impl Iterator<Item = (&String, &'static str)> {
    let planned: BTreeSet<&String> = plan.steps.iter().map(|step| &step.environment).collect();
    let uncompared = plan.uncompared.keys().filter(move |name| !planned.contains(name));
    let unchanged = plan.unchanged.iter().map(|one| (&one.environment, "not changed"));
    let converged = plan.converged.iter().map(|name| (name, "no changes"));
    converged.chain(unchanged).chain(uncompared.map(|name| (name, "not compared")))
}

/// Returns the graph for Mermaid without the environments that have no steps.
pub(super) fn mermaid_of_steps(plan: &PlanView) -> String {
    let mut out = String::from("graph LR\n");
    for (at, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(out, "  s{at}[\"{}: {}\"]", label(&step.environment), label(&what(step)));
        if step.destructive {
            let _ = writeln!(out, "  style s{at} stroke:{RED}");
        }
    }
    for (from, to) in &plan.edges {
        let _ = writeln!(out, "  s{from} --> s{to}");
    }
    out
}

/// Returns a label for Mermaid. Every special character is written by its number.
fn label(text: &str) -> String {
    let line = defuse::line(text);
    let shortened: String = line.chars().take(80).collect();
    shortened.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '.' | '/' | '_') {
            out.push(c);
        } else {
            let _ = write!(out, "#{};", u32::from(c));
        }
        out
    })
}

const GREY: &str = "#6e7781";
const RED: &str = "#cf222e";

fn color(step: &PlannedStep) -> &'static str {
    match step.action {
        _ if step.destructive => RED,
        Action::Create => "#1a7f37",
        Action::Update => "#9a6700",
        Action::Replace | Action::Remove => RED,
    }
}

fn what(step: &PlannedStep) -> String {
    format!("{} {} ({})", text::word(step.action), step.kind, step.reason)
}

/// Height of a box in pixels.
const HEIGHT: usize = 40;
/// The gap between two boxes of a column.
const ROW: usize = 16;
/// The gap between two columns.
const COLUMN: usize = 48;
/// The largest width of a character in a label, in pixels.
const LETTER: usize = 8;

/// One box of the SVG.
struct Node {
    column: usize,
    row: usize,
    lines: [String; 2],
    color: &'static str,
}

/// Returns the graph as SVG: each step in the column after all steps that it needs, in the plan's order from top to
/// bottom.
#[must_use]
pub fn svg(plan: &PlanView) -> String {
    let nodes = layout(plan);
    let letters = nodes.iter().flat_map(|node| &node.lines).map(|line| line.chars().count()).max().unwrap_or_default();
    let width = letters * LETTER + 24;
    let place = |node: &Node| (COLUMN / 2 + node.column * (width + COLUMN), ROW + node.row * (HEIGHT + ROW));
    let columns = nodes.iter().map(|node| node.column + 1).max().unwrap_or(1);
    let rows = nodes.iter().map(|node| node.row + 1).max().unwrap_or(1);
    let (wide, high) = (columns * (width + COLUMN), rows * (HEIGHT + ROW) + ROW);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" width=\"{wide}\" height=\"{high}\" \
         font-family=\"monospace\" font-size=\"12\">\n<defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
         markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"{GREY}\"/></marker></defs>\n"
    );
    for (from, to) in &plan.edges {
        let (Some((x1, y1)), Some((x2, y2))) = (nodes.get(*from).map(place), nodes.get(*to).map(place)) else {
            continue;
        };
        let (x1, y1, y2, bend) = (x1 + width, y1 + HEIGHT / 2, y2 + HEIGHT / 2, COLUMN / 2);
        let _ = writeln!(
            out,
            "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"{GREY}\" marker-end=\"url(#end)\"/>",
            x1 + bend,
            x2.saturating_sub(bend),
        );
    }
    for node in &nodes {
        let (x, y) = place(node);
        let color = node.color;
        let [name, what] = node.lines.each_ref().map(|line| xml(line));
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"#fff\" stroke=\"{color}\"/>\
             <text x=\"{tx}\" y=\"{}\" font-weight=\"bold\">{name}</text><text x=\"{tx}\" y=\"{}\">{what}</text>",
            y + 16,
            y + 32,
            tx = x + 12,
        );
    }
    out + "</svg>\n"
}

/// Returns the steps in the plan's order, each in the column after the steps that it needs, then the environments
/// without steps.
fn layout(plan: &PlanView) -> Vec<Node> {
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    let mut place = |column: usize| {
        let row = rows.entry(column).or_default();
        *row += 1;
        (column, *row - 1)
    };
    let mut before: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in &plan.edges {
        before.entry(*to).or_default().push(*from);
    }
    let mut nodes: Vec<Node> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let needs = before.get(&at).into_iter().flatten();
        let column = needs.filter_map(|need| nodes.get(*need)).map(|need| need.column + 1).max().unwrap_or(0);
        let (column, row) = place(column);
        nodes.push(Node { column, row, lines: [cut(&step.environment), cut(&what(step))], color: color(step) });
    }
    for (name, what) in without_steps(plan) {
        let (column, row) = place(0);
        nodes.push(Node { column, row, lines: [cut(name), what.to_owned()], color: GREY });
    }
    nodes
}

fn cut(text: &str) -> String {
    defuse::line(text).chars().take(60).collect()
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::StepReason;
    use crate::model::state::Kind;

    fn plan() -> PlanView {
        let step = |environment: &str, kind, destructive| PlannedStep {
            environment: environment.to_owned(),
            kind,
            action: Action::Update,
            reason: StepReason::Differs,
            destructive,
            changes: Vec::new(),
        };
        PlanView {
            steps: vec![
                step("a", Kind::Access, false),
                step("a", Kind::Engine, false),
                step("b\"]; x<y>&`\n", Kind::Access, true),
                step("b", Kind::Files, false),
            ],
            edges: vec![(0, 1), (2, 3), (1, 3)],
            converged: vec!["c".to_owned()],
            ..PlanView::default()
        }
    }

    #[test]
    fn every_form() {
        insta::assert_snapshot!([dot(&plan()), mermaid(&plan()), svg(&plan())].join("\n"));
    }

    #[test]
    fn a_step_is_right_of_its_needs() {
        let nodes = layout(&plan());
        let places: Vec<_> = nodes.iter().map(|node| (node.column, node.row)).collect();
        assert_eq!(places, [(0, 0), (1, 0), (0, 1), (2, 0), (0, 2)]);
        assert!(svg(&PlanView::default()).ends_with("</svg>\n"));
    }
}
