//! Order of execution: the graph of all steps of all environments, ordered deterministically. Does not decide what a
//! step does.

pub mod saved;

use crate::model::event::{Action, PlanView, PlannedStep, Summary};
use crate::model::state::Kind;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

/// Steps and their dependencies: an edge leads from a step to a step that needs it. A step is what people see of it,
/// alone or with what its execution needs.
#[derive(Clone, Debug)]
pub struct Plan<S = PlannedStep> {
    graph: DiGraph<S, ()>,
}

impl<S> Default for Plan<S> {
    fn default() -> Self {
        Self { graph: DiGraph::new() }
    }
}

/// Returns the kinds that a kind needs in the same environment. Every other order between kinds follows from these.
const fn needs(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Infrastructure => &[],
        Kind::Access => &[Kind::Infrastructure],
        Kind::Engine => &[Kind::Access],
        Kind::Updates | Kind::Scripts => &[Kind::Engine],
        // Files come after scripts, because a script may set up the disk that the files are on.
        Kind::Files => &[Kind::Scripts],
        Kind::Images => &[Kind::Files],
        Kind::Firewall => &[Kind::Images],
        Kind::Services => &[Kind::Firewall],
        Kind::Schedules => &[Kind::Services],
    }
}

/// Returns true if `kind` needs `other`, directly or through other kinds.
fn reaches(kind: Kind, other: Kind) -> bool {
    needs(kind).iter().any(|need| *need == other || reaches(*need, other))
}

impl<S: Borrow<PlannedStep>> Plan<S> {
    /// Builds the graph of these steps. `depends_on` names, for each environment, the environments whose steps come
    /// first. An environment that is removed comes before those it depends on.
    #[must_use]
    pub fn new(steps: Vec<S>, depends_on: &BTreeMap<String, Vec<String>>) -> Self {
        let mut graph = DiGraph::new();
        let mut nodes: BTreeMap<String, Vec<NodeIndex>> = BTreeMap::new();
        for step in steps {
            let environment = step.borrow().environment.clone();
            nodes.entry(environment).or_default().push(graph.add_node(step));
        }
        for own in nodes.values() {
            for (&before, &after) in own.iter().flat_map(|a| own.iter().map(move |b| (a, b))) {
                let (first, second): (&PlannedStep, &PlannedStep) = (graph[before].borrow(), graph[after].borrow());
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
                let second: &PlannedStep = graph[after].borrow();
                let (from, to) = if second.destructive { (after, before) } else { (before, after) };
                graph.update_edge(from, to, ());
            }
        }
        Self { graph }
    }

    /// Returns all steps in the order of execution one at a time: Kahn's algorithm, with ties broken by environment and
    /// kind, so that equal inputs print equally.
    #[must_use]
    pub fn order(&self) -> Vec<NodeIndex> {
        let mut waiting: BTreeMap<NodeIndex, usize> = self
            .graph
            .node_indices()
            .map(|node| (node, self.graph.neighbors_directed(node, Direction::Incoming).count()))
            .collect();
        let key = |node: NodeIndex| {
            let step: &PlannedStep = self.graph[node].borrow();
            (step.environment.as_str(), step.kind, node)
        };
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

    /// Returns one step.
    #[must_use]
    pub fn step(&self, node: NodeIndex) -> &S {
        &self.graph[node]
    }

    /// Returns the steps that a step waits for.
    pub fn needs(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.graph.neighbors_directed(node, Direction::Incoming)
    }

    /// Returns true if the plan has no steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0
    }

    /// Returns the plan in the form for people and pipelines.
    #[must_use]
    pub fn view(&self, converged: Vec<String>) -> PlanView {
        let step = |_, step: &S| -> PlannedStep { step.borrow().clone() };
        Plan { graph: self.graph.map(step, |_, ()| ()) }.into_view(converged)
    }

    /// Returns the edges between positions in `order`. An edge that two others imply is left out.
    fn edges(&self, order: &[NodeIndex]) -> Vec<(usize, usize)> {
        let place: BTreeMap<NodeIndex, usize> = order.iter().enumerate().map(|(at, node)| (*node, at)).collect();
        let before = |node: &NodeIndex| {
            let places: BTreeSet<usize> = self.needs(*node).filter_map(|need| place.get(&need).copied()).collect();
            places
        };
        let before: Vec<BTreeSet<usize>> = order.iter().map(before).collect();
        let direct = |(after, needs): (usize, &BTreeSet<usize>)| {
            let implied = |need: &usize| needs.iter().any(|between| before[*between].contains(need));
            needs.iter().filter(|need| !implied(need)).map(|need| (*need, after)).collect::<Vec<_>>()
        };
        before.iter().enumerate().flat_map(direct).collect()
    }
}

impl Plan {
    /// Converts the plan to the form of [`Self::view`].
    #[must_use]
    pub fn into_view(self, converged: Vec<String>) -> PlanView {
        let order = self.order();
        let edges = self.edges(&order);
        let mut nodes: Vec<_> = self.graph.into_nodes_edges().0.into_iter().map(|node| Some(node.weight)).collect();
        let steps: Vec<PlannedStep> = order.iter().filter_map(|node| nodes[node.index()].take()).collect();
        let count = |action| steps.iter().filter(|step| step.action == action).count();
        let summary = Summary {
            create: count(Action::Create),
            update: count(Action::Update),
            replace: count(Action::Replace),
            remove: count(Action::Remove),
        };
        PlanView { summary, steps, edges, converged, ..PlanView::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::StepReason;

    fn step(environment: &str, kind: Kind) -> PlannedStep {
        let (environment, reason) = (environment.to_owned(), StepReason::Missing);
        PlannedStep { environment, kind, action: Action::Create, reason, destructive: false, changes: Vec::new() }
    }

    fn order(plan: &Plan) -> Vec<String> {
        plan.order()
            .into_iter()
            .map(|node| format!("{} {}", plan.step(node).environment, plan.step(node).kind))
            .collect()
    }

    #[test]
    fn lifecycle_order_holds_for_every_order_of_steps() {
        let plan = Plan::new(
            vec![step("a", Kind::Services), step("a", Kind::Access), step("a", Kind::Files)],
            &BTreeMap::new(),
        );
        assert_eq!(order(&plan), ["a access", "a files", "a services"]);
    }

    #[test]
    fn edges_that_follow_from_others_are_left_out() {
        let depends = BTreeMap::from([("a".to_owned(), vec!["z".to_owned()])]);
        let own = [step("a", Kind::Access), step("a", Kind::Engine), step("a", Kind::Files), step("z", Kind::Access)];
        let view = Plan::new(own.to_vec(), &depends).view(Vec::new());
        assert_eq!(view.edges, [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn a_dependency_comes_first() {
        let depends = BTreeMap::from([("a".to_owned(), vec!["z".to_owned()])]);
        let plan = Plan::new(vec![step("a", Kind::Access), step("z", Kind::Services)], &depends);
        assert_eq!(order(&plan), ["z services", "a access"]);
    }
}
