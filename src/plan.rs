//! When things happen: the graph of all steps over all environments, in a deterministic order. Never
//! decides what a step does.

use crate::event::{Action, PlanView, PlannedStep, Summary};
use crate::state::Kind;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};

/// Steps and what they wait for: an edge leads from a step to one that needs it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    graph: DiGraph<PlannedStep, ()>,
}

/// What a kind needs of the same environment. Every other order between kinds follows from these.
const fn needs(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Access => &[],
        Kind::Engine => &[Kind::Access],
        Kind::Files => &[Kind::Access, Kind::Engine],
        Kind::Images => &[Kind::Engine, Kind::Files],
        Kind::Services => &[Kind::Files, Kind::Images],
    }
}

/// Whether `kind` needs `other`, directly or through others.
fn reaches(kind: Kind, other: Kind) -> bool {
    needs(kind).iter().any(|need| *need == other || reaches(*need, other))
}

impl Plan {
    /// The graph of these steps. `depends_on` names, for each environment, those whose steps come first;
    /// an environment that is taken off comes before those it depends on.
    #[must_use]
    pub fn new(steps: Vec<PlannedStep>, depends_on: &BTreeMap<String, Vec<String>>) -> Self {
        let mut graph = DiGraph::new();
        let mut nodes: BTreeMap<String, Vec<NodeIndex>> = BTreeMap::new();
        for step in steps {
            let environment = step.environment.clone();
            nodes.entry(environment).or_default().push(graph.add_node(step));
        }
        for own in nodes.values() {
            for (&before, &after) in own.iter().flat_map(|a| own.iter().map(move |b| (a, b))) {
                let (first, second): (&PlannedStep, &PlannedStep) = (&graph[before], &graph[after]);
                let removal = first.destructive && second.destructive;
                let ordered = if removal { before < after } else { reaches(second.kind, first.kind) };
                if ordered {
                    graph.add_edge(before, after, ());
                }
            }
        }
        for (environment, first) in depends_on.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one))) {
            for (&before, &after) in nodes
                .get(first)
                .into_iter()
                .flatten()
                .flat_map(|a| nodes.get(environment).into_iter().flatten().map(move |b| (a, b)))
            {
                let (from, to) = if graph[after].destructive { (after, before) } else { (before, after) };
                graph.update_edge(from, to, ());
            }
        }
        Self { graph }
    }

    /// All steps in the order they would be executed one at a time: Kahn's algorithm, ties broken by
    /// environment and kind, so that equal inputs print equally.
    #[must_use]
    pub fn order(&self) -> Vec<NodeIndex> {
        let mut waiting: BTreeMap<NodeIndex, usize> = self
            .graph
            .node_indices()
            .map(|node| (node, self.graph.neighbors_directed(node, Direction::Incoming).count()))
            .collect();
        let key = |node: NodeIndex| (self.graph[node].environment.as_str(), self.graph[node].kind, node);
        let mut ready: BTreeSet<_> =
            waiting.iter().filter(|(_, count)| **count == 0).map(|(node, _)| key(*node)).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some((_, _, node)) = ready.pop_first() {
            order.push(node);
            for next in self.graph.neighbors_directed(node, Direction::Outgoing) {
                if let Some(count) = waiting.get_mut(&next) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(key(next));
                    }
                }
            }
        }
        order
    }

    /// One step.
    #[must_use]
    pub fn step(&self, node: NodeIndex) -> &PlannedStep {
        &self.graph[node]
    }

    /// The steps that this one waits for.
    pub fn needs(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.graph.neighbors_directed(node, Direction::Incoming)
    }

    /// Whether nothing is to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0
    }

    /// The plan for people and pipelines.
    #[must_use]
    pub fn view(&self, converged: Vec<String>) -> PlanView {
        let steps: Vec<PlannedStep> = self.order().into_iter().map(|node| self.graph[node].clone()).collect();
        let count = |action| steps.iter().filter(|step| step.action == action).count();
        let summary = Summary {
            create: count(Action::Create),
            update: count(Action::Update),
            replace: count(Action::Replace),
            remove: count(Action::Remove),
        };
        PlanView { summary, steps, observed_seconds_ago: None, converged, left: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(environment: &str, kind: Kind) -> PlannedStep {
        let (environment, reason) = (environment.to_owned(), "missing".to_owned());
        PlannedStep { environment, kind, action: Action::Create, reason, destructive: false, changes: Vec::new() }
    }

    fn order(plan: &Plan) -> Vec<String> {
        plan.order()
            .into_iter()
            .map(|node| format!("{} {}", plan.step(node).environment, plan.step(node).kind))
            .collect()
    }

    #[test]
    fn lifecycle_order_holds_whatever_the_order_of_steps() {
        let plan = Plan::new(
            vec![step("a", Kind::Services), step("a", Kind::Access), step("a", Kind::Files)],
            &BTreeMap::new(),
        );
        assert_eq!(order(&plan), ["a access", "a files", "a services"]);
    }

    #[test]
    fn a_dependency_comes_first() {
        let depends = BTreeMap::from([("a".to_owned(), vec!["z".to_owned()])]);
        let plan = Plan::new(vec![step("a", Kind::Access), step("z", Kind::Services)], &depends);
        assert_eq!(order(&plan), ["z services", "a access"]);
    }
}
