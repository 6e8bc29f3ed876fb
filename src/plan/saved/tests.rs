use super::inputs::plain_settings;
use super::*;
use crate::model::event::{Action, StepReason};

fn step(kind: Kind) -> PlannedStep {
    PlannedStep {
        environment: "a".to_owned(),
        kind,
        action: Action::Update,
        reason: StepReason::Differs,
        destructive: false,
        changes: Vec::new(),
    }
}

fn saved(bound: Bound) -> SavedPlan {
    SavedPlan {
        made_at: Timestamp::UNIX_EPOCH,
        by: "u@m".to_owned(),
        named: false,
        environments: BTreeMap::from([("a".to_owned(), bound)]),
        plan: PlanView { steps: vec![step(Kind::Files)], ..PlanView::default() },
    }
}

fn bound(inputs: &[(&str, &str)], serial: u64, facts: &[(Kind, &str, &str)]) -> Bound {
    let mut state = State::default();
    for (kind, fact, value) in facts {
        state.0.entry(*kind).or_default().insert((*fact).to_owned(), (*value).to_owned());
    }
    let inputs = inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Bound { key: "0".repeat(32), inputs, serial, facts: state }
}

#[test]
fn a_file_reads_back_and_a_damaged_or_newer_one_is_refused() {
    let plan = saved(bound(&[("file x", "1")], 7, &[(Kind::Files, "x", "0644")]));
    let text = plan.text();
    let path = Utf8Path::new("p.plan");
    assert_eq!(SavedPlan::parse(&text, path).expect("whole"), plan);
    for (from, to, words) in [
        ("\"serial\": 7", "\"serial\": 8", "digest"),
        ("\"format\": 1", "\"format\": 2", "newer deployer (format 2"),
        ("\"format\": 1", "\"form\": 1", "names no format"),
        ("\"body\"", "body", "not a complete saved plan"),
    ] {
        assert!(text.contains(from), "{from}");
        let failure = SavedPlan::parse(&text.replace(from, to), path).expect_err("refused");
        assert_eq!(failure.reason, Reason::PlanInvalid);
        assert!(failure.message().contains(words), "{failure}");
    }
    for cut in 0..text.len() - 2 {
        assert!(SavedPlan::parse(&text[..cut], path).is_err(), "cut at {cut}");
    }
}

#[test]
fn everything_that_moved_is_named() {
    let then = bound(&[("file x", "1"), ("file .env", "1"), ("variable T", "1")], 7, &[(Kind::Files, "x", "a")]);
    let plan = saved(then.clone());
    assert_eq!(plan.moved("a", &then, &[step(Kind::Files)], false), Vec::<String>::new());
    let now = bound(&[("file y", "1"), ("file .env", "2"), ("variable T", "2")], 8, &[(Kind::Files, "x", "b")]);
    assert_eq!(
        plan.moved("a", &now, &[], false),
        [
            "file x is gone here",
            "file y was added here",
            "variable T changed here",
            "the host's serial went from 7 to 8",
            "x on the host went from a to b",
        ]
    );
    let more = [step(Kind::Files), step(Kind::Engine)];
    assert_eq!(plan.moved("a", &then, &more, false), ["a step for engine is needed that is not in the plan"]);
    assert_eq!(plan.moved("a", &then, &[], false), ["the step for files is no longer needed"]);
    let other = PlannedStep { environment: "b".to_owned(), ..step(Kind::Access) };
    assert_eq!(plan.moved("b", &then, &[other], false), ["a step for access is needed that is not in the plan"]);
    let claimed = Bound { key: "1".to_owned(), serial: 8, ..now.clone() };
    assert_eq!(plan.moved("a", &claimed, &[], false)[0], "the host's serial went from 7 to 8");
    let rekeyed = Bound { key: "1".to_owned(), ..then.clone() };
    assert_eq!(plan.moved("a", &rekeyed, &[], false), ["the host has another digest key"]);
    let failure = stale("a", &vec!["x moved".to_owned(); 8]);
    assert!(failure.message().ends_with("; and 2 more") && failure.details.is_some());
}

#[test]
fn services_that_are_unwell_in_another_way_did_not_move() {
    let facts = |value: &str| Facts::from([("web".to_owned(), value.to_owned())]);
    assert!(other_facts(Kind::Services, &facts("restarting"), &facts("exited 1")).is_empty());
    assert_eq!(other_facts(Kind::Services, &facts("healthy"), &facts("exited 1")).len(), 1);
    assert_eq!(other_facts(Kind::Files, &facts("restarting"), &facts("exited 1")).len(), 1);
}

#[test]
fn settings_are_named_by_their_path_and_count_from_the_manifest() {
    let entry = serde_json::json!({
        "ssh": {"port": 22}, "checks": ["/w/dir/a", "/other"], "o": {"a": {"b": 1}, "a.b": 2, "\"a.b\"": 3, "": {}},
    });
    let found = settings(&entry, Utf8Path::new("/w/dir"));
    assert_eq!(
        found.into_iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>(),
        ["checks [\"./a\",\"/other\"]", "o.\"\" {}", "o.\"\\\"a.b\\\"\" 3", "o.\"a.b\" 2", "o.a.b 1", "ssh.port 22",]
    );
}

#[test]
fn saved_plans_of_former_versions_name_settings_in_the_same_way() {
    let entry = serde_json::json!({
        "provisioned": {
            "lxd": { "config": { "security.secureboot": "false" } },
            "module": { "variables": { "a": [], "b": {}, "c": null, "d": { "e": [] }, "f": ["/w/dir/x"] } },
        },
        "application": { "compose": { "variables": { "A": "1" }, "archives": { "x:1": "/x" }, "files": ["a"], "pull": "never" } },
        "ssh": { "identity": { "from_env": "KEY" }, "identity_file": "/x", "port": 22 },
    });
    let found = plain_settings(&entry, Utf8Path::new("/w/dir"));
    assert_eq!(
        found.into_iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>(),
        [
            "application.compose.pull \"never\"",
            "provisioned.lxd.config.security.secureboot \"false\"",
            "provisioned.module.variables.f [\"./x\"]",
            "ssh.port 22",
        ]
    );
}

fn shown(diff: &str) -> PlannedStep {
    let change = crate::model::event::Change {
        fact: "x".to_owned(),
        from: Some("a".to_owned()),
        to: Some("b".to_owned()),
        diff: Some(diff.to_owned()),
        note: None,
    };
    PlannedStep { changes: vec![change], ..step(Kind::Files) }
}

#[test]
fn the_plan_now_is_the_plan_that_was_shown() {
    let then = bound(&[], 7, &[]);
    let plan = |step| SavedPlan { plan: PlanView { steps: vec![step], ..PlanView::default() }, ..saved(then.clone()) };
    let real = shown("-a\n+b");
    assert_eq!(plan(real.clone()).moved("a", &then, std::slice::from_ref(&real), true), Vec::<String>::new());
    let other = "the step for files would change x in a different way than the plan shows";
    let edit = |edit: fn(&mut PlannedStep)| {
        let mut step = real.clone();
        edit(&mut step);
        plan(step).moved("a", &then, std::slice::from_ref(&real), false)
    };
    assert_eq!(edit(|step| step.changes[0].diff = Some("harmless".to_owned())), [other]);
    assert_eq!(edit(|step| step.changes[0].diff = None), [other]);
    assert_eq!(edit(|step| step.changes[0].from = None), [other]);
    assert_eq!(edit(|step| step.changes[0].to = Some("c".to_owned())), [other]);
    assert_eq!(edit(|step| step.changes[0].note = Some("restarts nothing".to_owned())), [other]);
    assert_eq!(edit(|step| step.changes[0].fact = "y".to_owned()), [other]);
    assert_eq!(edit(|step| step.changes.clear()).len(), 1);
    assert_eq!(edit(|step| step.changes.push(step.changes[0].clone())).len(), 1);
    assert_eq!(edit(|step| step.destructive = true), ["the step for files would do something else"]);
    // Runners remember different things, so that reasons may differ. Without a seal, a different reason counts.
    let mut drifted = real.clone();
    drifted.reason = StepReason::Drifted;
    assert_eq!(plan(drifted.clone()).moved("a", &then, std::slice::from_ref(&real), false), Vec::<String>::new());
    assert_eq!(plan(drifted).moved("a", &then, std::slice::from_ref(&real), true).len(), 1);
    let twice = SavedPlan {
        plan: PlanView { steps: vec![real.clone(), real.clone()], ..PlanView::default() },
        ..saved(then.clone())
    };
    assert_eq!(twice.moved("a", &then, &[real], false), ["the plan contains a step twice"]);
}
