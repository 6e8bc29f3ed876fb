//! Laws that every input obeys: of the diff, of the plan, of frames and of parsing.

use crate::given::{bytes, given, marks, output, root};
use camino::Utf8PathBuf;
use deployer::model::diff::{changes, diff};
use deployer::model::event::{Action, PlannedStep, StepReason};
use deployer::model::state::{Facts, Kind, State};
use deployer::plan::Plan;
use deployer::resource;
use petgraph::graph::NodeIndex;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn facts() -> impl Strategy<Value = Facts> {
    btree_map("[a-e]{1,2}", "[x-z]{0,2}", 0..6)
}

fn states() -> impl Strategy<Value = State> {
    btree_map((0..Kind::ALL.len()).prop_map(|index| Kind::ALL[index]), facts(), 0..5).prop_map(State)
}

fn steps(observed: &State, desired: &State) -> Vec<String> {
    let steps = diff("env", &Kind::ALL, observed, desired, &|kind| kind > Kind::Engine, &|_, _| None);
    steps.iter().map(|step| serde_json::to_string(step).unwrap()).collect()
}

fn planned(environment: usize, kind: usize) -> PlannedStep {
    PlannedStep {
        environment: format!("e{environment}"),
        kind: Kind::ALL[kind],
        action: Action::Update,
        reason: StepReason::Differs,
        destructive: false,
        changes: Vec::new(),
    }
}

/// Generates dependencies without cycles: environment `n` may depend only on environments before it.
fn dependencies() -> impl Strategy<Value = BTreeMap<String, Vec<String>>> {
    vec((0..6_usize, 0..6_usize), 0..8).prop_map(|pairs| {
        let mut all = BTreeMap::<String, Vec<String>>::new();
        for (a, b) in pairs.into_iter().filter(|(a, b)| a > b) {
            all.entry(format!("e{a}")).or_default().push(format!("e{b}"));
        }
        all
    })
}

fn named(plan: &Plan) -> Vec<(String, Kind)> {
    plan.order().into_iter().map(|node| (plan.step(node).environment.clone(), plan.step(node).kind)).collect()
}

/// Returns the steps that a step waits for, directly or through others, by the plan's edges. The order of execution has
/// the right sequence by the names of environments and kinds alone.
fn all_needs(plan: &Plan, node: NodeIndex) -> BTreeSet<NodeIndex> {
    let (mut all, mut open) = (BTreeSet::new(), vec![node]);
    while let Some(node) = open.pop() {
        open.extend(plan.needs(node).filter(|need| all.insert(*need)));
    }
    all
}

proptest! {
    #[test]
    fn nothing_differs_from_itself(state in states()) {
        prop_assert!(steps(&state, &state).is_empty());
    }

    #[test]
    fn the_changes_lead_from_one_to_the_other(from in facts(), to in facts()) {
        let mut result = from.clone();
        for change in changes(&from, &to) {
            prop_assert_eq!(change.from.as_ref(), from.get(&change.fact));
            prop_assert!(change.from != change.to);
            match change.to {
                Some(value) => _ = result.insert(change.fact, value),
                None => _ = result.remove(&change.fact),
            }
        }
        prop_assert_eq!(result, to);
    }

    #[test]
    fn a_plan_keeps_every_need_in_every_order_of_its_steps(
        chosen in proptest::collection::btree_set((0..6_usize, 0..Kind::ALL.len()), 0..20),
        depends in dependencies(),
        shuffle in any::<u64>(),
    ) {
        let all: Vec<PlannedStep> = chosen.iter().map(|(environment, kind)| planned(*environment, *kind)).collect();
        let mut other = all.clone();
        other.sort_by_key(|step| blake3::hash(format!("{shuffle}{}{}", step.environment, step.kind).as_bytes()).to_hex());
        let (plan, shuffled) = (Plan::new(all, &depends), Plan::new(other, &depends));
        let order = plan.order();
        prop_assert_eq!(order.len(), chosen.len());
        prop_assert_eq!(named(&plan), named(&shuffled));
        for (at, node) in order.iter().enumerate() {
            let needed = all_needs(&plan, *node);
            prop_assert!(needed.iter().all(|need| order[..at].contains(need)));
            let step = plan.step(*node);
            for other in order.iter().filter(|other| *other != node) {
                let before = plan.step(*other);
                // Updates run next to the release: nothing needs them.
                let own = before.environment == step.environment && before.kind < step.kind && before.kind != Kind::Updates;
                let depends = depends.get(&step.environment).is_some_and(|first| first.contains(&before.environment));
                prop_assert!(!own && !depends || needed.contains(other), "{step:?} needs {before:?}");
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        _ = resource::parse(&marks(), &bytes);
        _ = resource::access::parse(&bytes);
        _ = resource::engine::parse(&bytes);
        _ = resource::files::parse(&bytes);
        _ = resource::images::parse(&bytes);
        _ = resource::firewall::parse(&bytes);
        _ = resource::services::parse(&bytes);
        _ = resource::updates::parse(&bytes);
        _ = resource::scripts::parse(&bytes);
        _ = resource::schedules::parse(&bytes);
        _ = marks().split(&bytes);
    }

    #[test]
    fn a_damaged_answer_is_read_or_refused_and_never_breaks_a_room(
        spots in vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let staged = std::fs::read_to_string(root().join("services/staged.txt")).unwrap();
        let mut bytes = output(&staged);
        for (spot, byte) in spots {
            let at = spot.index(bytes.len());
            bytes[at] = byte;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut given = given(&root().join("converged.txt")).unwrap();
        if let Ok(facts) = resource::parse(&marks(), &bytes) {
            given.facts = facts;
            let subject = given.subject();
            _ = (resource::observed(&subject, &given.facts), resource::desired(&subject, &given.facts));
            for kind in Kind::ALL {
                _ = resource::preflight(kind, &subject, &given.facts);
                _ = resource::commands(kind, &subject, &given.facts, "NEW");
            }
        }
    }

    /// Names in a release contain no line break: the application refuses them.
    #[test]
    fn no_file_name_forges_a_frame_or_another_file(names in vec("[^\\n\\x00/]{1,30}|@@deployer (begin|end) (files|access)|[0-7]{3} x|current \\{\\}|-|[a-f0-9]{64}  y", 1..6)) {
        prop_assume!(!names.iter().any(|name| name == "." || name == ".."));
        let record = |name: &String| format!("644 ./{name}\0");
        let sum = |name: &String| format!("{}  ./{name}\0", "ab".repeat(32));
        let body: String = names.iter().map(record).chain(names.iter().map(sum)).collect();
        let answer = bytes(&format!("noise\n@@deployer begin files\n{body}\n@@deployer end files"));
        let marks = marks();
        let frames = marks.split(&answer);
        prop_assert_eq!(frames.keys().copied().collect::<Vec<_>>(), ["files"]);
        let seen = resource::files::parse(frames["files"].content().unwrap()).unwrap();
        let mut wanted: Vec<Utf8PathBuf> = names.iter().map(Utf8PathBuf::from).collect();
        wanted.sort();
        wanted.dedup();
        prop_assert_eq!(seen.live.into_keys().collect::<Vec<_>>(), wanted);
        prop_assert!(seen.current.is_none() && seen.staged.is_none());
    }
}
