//! The JSON contract: every event's line conforms to `schemas/events.schema.json`, and the schema lists exactly the
//! events and fields of the code. Does not test wording.

use deployer::model::event::*;
use deployer::model::failure::{Failure, Location, Reason};
use deployer::model::state::{Kind, Stage};
use deployer::model::verdict::{Judgement, Vantage};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn schema() -> Value {
    serde_json::from_str(include_str!("../schemas/events.schema.json")).expect("JSON")
}

fn environment(failed: Option<FailedView>, observed_at: Option<jiff::Timestamp>) -> Event {
    let stale = failed.is_some();
    Event::Environment(Box::new(EnvironmentView {
        name: "production".to_owned(),
        target: "registered",
        stage: Stage::Running,
        health: Health::Healthy,
        drifted: vec![Kind::Files],
        left: Why::ALL.map(left).to_vec(),
        failed,
        in_progress: None,
        suspended: false,
        protected: false,
        observed_at,
        address: "::1".to_owned(),
        endpoints: vec!["http://[::1]:8080".to_owned()],
        backup: stale.then(|| BackupView {
            last: observed_at,
            archive: Some("a.tar.gz".to_owned()),
            bytes: Some(5),
            overdue: true,
            failed: Some("no room".to_owned()),
            after_failed: None,
            restoring: Some("a.tar.gz".to_owned()),
        }),
        services: BTreeMap::from([("web".to_owned(), "running".to_owned())]),
        unwell: vec!["web is exited (1)".to_owned()],
        unreachable: Some("it does not answer".to_owned()),
    }))
}

fn left(why: Why) -> Left {
    let change = Change { fact: "boot".to_owned(), from: None, to: Some("enabled".to_owned()), diff: None, note: None };
    let reason = (why != Why::Detect).then(|| "the owner's".to_owned());
    Left { environment: "production".to_owned(), kind: Kind::Engine, why, reason, changes: vec![change] }
}

fn progress() -> Vec<Event> {
    let of = |kind| Event::Progress { environment: "production".to_owned(), kind, activity: "connecting".to_owned() };
    vec![of(None), of(Some(Kind::Engine))]
}

fn unchanged(why: Stays) -> Unchanged {
    Unchanged { environment: "lab".to_owned(), why, release: Some("20261122T170032Z-655f".to_owned()) }
}

/// Returns at least one event of every type, with and without the optional fields.
fn events() -> Vec<Event> {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let change = Change {
        fact: "app/motd".to_owned(),
        from: None,
        to: Some("x".to_owned()),
        diff: Some("+x".to_owned()),
        note: Some("restarts web".to_owned()),
    };
    let step = PlannedStep {
        environment: "production".to_owned(),
        kind: Kind::Files,
        action: Action::Replace,
        reason: StepReason::Differs,
        destructive: true,
        changes: vec![
            change.clone(),
            Change { from: Some("x".to_owned()), to: None, diff: None, note: None, ..change },
        ],
    };
    let place = Location {
        file: "deployment.yaml".to_owned(),
        line: 3,
        column: 5,
        span: Some(1..2),
        source: Some("a\u{1b}".into()),
    };
    let (reason, message, run) = ("disk-full".to_owned(), "Full".to_owned(), "r".to_owned());
    let failed = FailedView { kind: None, reason, message, at: now, run };
    let mut events = progress();
    events.extend([
        Event::Plan(PlanView::default()),
        Event::Plan(PlanView {
            steps: vec![step],
            edges: vec![(0, 1)],
            observed_seconds_ago: Some(3),
            against: Some("main".to_owned()),
            left: vec![left(Why::Ignored)],
            unchanged: Stays::ALL.map(unchanged).to_vec(),
            ..PlanView::default()
        }),
        environment(None, None),
        environment(Some(failed), Some(now)),
        Event::Check(CheckView {
            environment: "lab".to_owned(),
            check: "page".to_owned(),
            passed: true,
            found: "200".to_owned(),
        }),
        Event::Verdict(VerdictView {
            environment: "lab".to_owned(),
            name: "UDP tracker 6969".to_owned(),
            vantage: Vantage::Inside,
            outcome: Judgement::Warned,
            detail: "seen".to_owned(),
            duration_ms: 5,
        }),
        Event::Release(ReleaseView {
            environment: "production".to_owned(),
            release: "20261122T170032Z-655f".to_owned(),
            live: true,
            kept: true,
            rejected: Some("web is exited (1)".to_owned()),
        }),
        Event::Archive(ArchiveView {
            environment: "production".to_owned(),
            archive: "shop--production-20261122T170032Z.tar.gz".to_owned(),
            bytes: 5,
            made: now,
            saved: Some("kept/shop--production-20261122T170032Z.tar.gz".to_owned()),
        }),
        Event::Run(RunView {
            id: "r".to_owned(),
            command: "apply".to_owned(),
            by: "me@here".to_owned(),
            started_at: now,
            duration_ms: Some(5),
            outcome: Some("failed".to_owned()),
            environments: vec!["lab".to_owned()],
            failed: vec![FailedStep { environment: "lab".to_owned(), kind: "engine".to_owned() }],
        }),
        Event::Failure(Failure::new(Reason::ManifestInvalid, "Bad \u{1b}[2J \"line\"\nnext").at(place)),
        Event::Failure(Failure::new(Reason::Unhealthy, "Bad").on("lab").details("panic")),
        Event::Warning { environment: None, message: "Old".to_owned() },
        Event::Output("text\n".to_owned()),
        Event::Note("Wrote it".to_owned()),
    ]);
    events.extend(Happening::ALL.map(|event| {
        let environment = (event == Happening::Reconciled).then(|| "lab".to_owned());
        Event::Watch(WatchView { at: now, event, environment, message: "So it is".to_owned() })
    }));
    for state in [StepState::Started, StepState::Applied, StepState::Skipped, StepState::Failed, StepState::Blocked] {
        let duration_ms = (state != StepState::Started).then_some(5);
        events.push(Event::Step(StepView { environment: "lab".to_owned(), kind: Kind::Access, state, duration_ms }));
    }
    events.extend(Outcome::ALL.map(|outcome| Event::Result(ResultView { command: "apply", outcome, exit_code: 0 })));
    events
}

/// Returns the same schema without additional properties: deployer prints only listed fields, while readers must accept
/// others.
fn strict() -> Value {
    let mut schema = schema();
    let definitions = schema["$defs"].as_object_mut().expect("definitions");
    for definition in definitions.values_mut().filter(|definition| definition["type"] == "object") {
        definition["additionalProperties"] = json!(false);
    }
    schema
}

#[test]
fn every_event_is_one_line_that_the_schema_accepts() {
    let validator = jsonschema::validator_for(&strict()).expect("a schema");
    let mut types = BTreeSet::new();
    for event in events() {
        let line = line(&event);
        assert!(!line.chars().any(char::is_control), "{line:?}");
        let value: Value = serde_json::from_str(&line).expect("JSON");
        if let Err(error) = validator.validate(&value) {
            panic!("{line}\n{error}");
        }
        assert!(line.starts_with(r#"{"version":1,"type":""#), "{line}");
        types.insert(value["type"].as_str().expect("a type").to_owned());
    }
    let schema = schema();
    let listed = schema["allOf"].as_array().expect("types");
    let listed =
        listed.iter().map(|rule| rule["if"]["properties"]["type"]["const"].as_str().expect("a type").to_owned());
    assert_eq!(types, listed.collect(), "an event of every type is tried");
}

#[test]
fn the_schema_lists_what_the_code_has() {
    let schema = schema();
    let listed = |pointer: &str| -> Vec<String> {
        let value = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is there"));
        serde_json::from_value(value.clone()).expect("strings")
    };
    assert_eq!(listed("/$defs/reason/enum"), Reason::ALL.iter().map(|reason| reason.code()).collect::<Vec<_>>());
    assert_eq!(listed("/$defs/kind/enum"), Kind::ALL.map(Kind::name));
    let stages = <Stage as clap::ValueEnum>::value_variants();
    assert_eq!(listed("/$defs/stage/enum"), stages.iter().map(|stage| stage.name()).collect::<Vec<_>>());
    let happenings: Vec<Value> = Happening::ALL.iter().map(|one| json!(one)).collect();
    assert_eq!(schema.pointer("/$defs/watch/properties/event/enum"), Some(&json!(happenings)));
    let why: Vec<Value> = Why::ALL.iter().map(|why| json!(why)).collect();
    assert_eq!(schema.pointer("/$defs/left/properties/why/enum"), Some(&json!(why)));
    assert_eq!(listed("/$defs/verdict/properties/outcome/enum"), Judgement::ALL.map(Judgement::name));
    assert_eq!(listed("/$defs/result/properties/outcome/enum"), Outcome::ALL.map(Outcome::name));
}

#[test]
fn the_schema_refuses_invalid_events() {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    assert!(validator.is_valid(&json!({"version": 1, "type": "of-a-later-version", "x": 1})));
    assert!(!validator.is_valid(&json!({"version": 2, "type": "note", "text": "x"})));
    assert!(!validator.is_valid(&json!({"version": 1, "type": "note"})));
    assert!(
        !validator
            .is_valid(&json!({"version": 1, "type": "result", "command": "x", "outcome": "fine", "exit_code": 0}))
    );
}

#[test]
fn the_fields_of_an_environment_are_in_the_documented_order() {
    let line = line(&environment(None, None));
    let fields = [
        "name",
        "target",
        "stage",
        "health",
        "drifted",
        "failed",
        "in_progress",
        "suspended",
        "protected",
        "observed_at",
        "endpoints",
    ];
    let places: Vec<_> = fields.iter().map(|field| line.find(&format!("\"{field}\":")).expect("there")).collect();
    assert!(places.is_sorted(), "{line}");
}

#[test]
fn a_saved_plan_is_as_its_schema_says() {
    use deployer::model::state::State;
    use deployer::plan::saved::{Bound, SavedPlan};
    let schema: Value = serde_json::from_str(include_str!("../schemas/plan.schema.json")).expect("JSON");
    let plan = events().into_iter().filter_map(|event| if let Event::Plan(plan) = event { Some(plan) } else { None });
    for plan in plan {
        let facts = State([(Kind::Files, [("x".to_owned(), "0644".to_owned())].into())].into());
        let bound =
            Bound { key: "0".repeat(32), inputs: [("file x".to_owned(), "0".repeat(32))].into(), serial: 7, facts };
        let saved = SavedPlan {
            made_at: jiff::Timestamp::UNIX_EPOCH,
            by: "u@m".to_owned(),
            named: true,
            environments: [("production".to_owned(), bound)].into(),
            plan,
        };
        let value: Value = serde_json::from_str(&saved.text()).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        validator.validate(&value).unwrap_or_else(|error| panic!("{value}\n{error}"));
        assert_eq!(value["format"], deployer::plan::saved::FORMAT);
        let mut other = value;
        other["body"]["environments"]["production"]["inputs"]["file x"] = "a secret".into();
        assert!(!validator.is_valid(&other));
    }
}

#[test]
fn the_schemas_agree_on_what_both_hold() {
    let saved: Value = serde_json::from_str(include_str!("../schemas/plan.schema.json")).expect("JSON");
    let (events, own) = (schema(), saved["$defs"].as_object().expect("definitions").clone());
    let shared = own.iter().filter(|(name, _)| events["$defs"].get(*name).is_some() && *name != "plan");
    assert!(shared.clone().count() >= 3);
    for (name, definition) in shared {
        assert_eq!(*definition, events["$defs"][name], "{name}");
    }
    for (name, property) in own["plan"]["properties"].as_object().expect("properties") {
        assert_eq!(*property, events["$defs"]["plan"]["properties"][name], "{name}");
    }
}
