//! Tests, with recordings, which drift is corrected and which is left. They need no host.

use crate::given::{Given, given, root};
use deployer::manifest::environment::{DriftPolicy, Ignore};
use deployer::model::event::{Left, PlannedStep, Why};
use deployer::model::state::{Kind, Stage};
use deployer::reconcile::prepare::Prepared;
use deployer::release::sent::Release;
use deployer::resource::{Observation, drift};
use std::collections::BTreeMap;

/// Returns the environment of a recording, prepared and with its wishes met.
fn prepared(given: &Given, policy: DriftPolicy) -> Prepared {
    let mut environment = given.environment.clone();
    environment.drift.policy = policy;
    Prepared {
        release: given.release.clone(),
        fallback_key: given.key.clone(),
        met: drift::wishes(&given.subject(), &given.facts),
        ..Prepared::without_release(environment)
    }
}

fn steps_and_rest(prepared: &Prepared, given: &Given) -> (Vec<PlannedStep>, Vec<Left>) {
    prepared.steps_and_rest(&Observation::of(&prepared.subject(), given.facts.clone()), Stage::Running)
}

/// Returns `KIND REASON` of the steps, and `WHY KIND: FACTS` of the drift that is left.
fn outcome(prepared: &Prepared, given: &Given) -> (Vec<String>, Vec<String>) {
    let (steps, left) = steps_and_rest(prepared, given);
    let facts = |left: &Left| left.changes.iter().map(|change| change.fact.clone()).collect::<Vec<_>>().join(" ");
    (
        steps.iter().map(|step| format!("{} {}", step.kind, step.reason)).collect(),
        left.iter().map(|left| format!("{:?} {}: {}", left.why, left.kind, facts(left))).collect(),
    )
}

fn recorded(name: &str) -> Given {
    given(&root().join(format!("{name}.txt"))).unwrap()
}

#[test]
fn drift_is_corrected_or_left_as_the_policy_says() {
    let cases = [
        ("files/drifted", &["files drifted", "services follows files"][..], &["Detect files: html/index.html"][..]),
        ("services/stopped-by-hand", &["services drifted"], &["Detect services: worker"]),
        ("engine/stopped", &["engine drifted"], &["Detect engine: docker"]),
    ];
    for (name, corrected, left) in cases {
        let given = recorded(name);
        assert_eq!(outcome(&prepared(&given, DriftPolicy::Correct), &given), (owned(corrected), Vec::new()), "{name}");
        assert_eq!(outcome(&prepared(&given, DriftPolicy::Detect), &given), (Vec::new(), owned(left)), "{name}");
    }
}

#[test]
fn an_application_that_cannot_be_read_keeps_the_live_release() {
    for (name, steps) in [
        ("converged", &[][..]),
        ("files/changed-and-new", &[]),
        ("files/drifted", &["files drifted", "services follows files"]),
        ("services/stopped-by-hand", &["services drifted"]),
    ] {
        let given = recorded(name);
        let prepared = Prepared { release: Some(Release::unread()), ..prepared(&given, DriftPolicy::Correct) };
        assert_eq!(outcome(&prepared, &given), (owned(steps), Vec::new()), "{name}");
    }
}

#[test]
fn changes_of_the_manifest_are_applied_under_every_policy() {
    for (name, steps) in [
        ("files/changed-and-new", &["files differs", "services differs"][..]),
        ("files/compose-file-changed", &["files differs", "images follows files", "services differs"]),
        // A release that did not complete is completed.
        ("files/staged", &["files drifted", "services drifted"]),
    ] {
        let given = recorded(name);
        let (applied, left) = outcome(&prepared(&given, DriftPolicy::Detect), &given);
        assert_eq!((applied, left), (owned(steps), Vec::new()), "{name}");
    }
    // The previous wish for the engine is unknown, so the manifest may have changed.
    let given = recorded("engine/stopped");
    let unknown = Prepared { met: BTreeMap::new(), ..prepared(&given, DriftPolicy::Detect) };
    assert_eq!(outcome(&unknown, &given), (owned(&["engine differs"]), Vec::new()));
    let mut asked = prepared(&given, DriftPolicy::Detect);
    asked.environment.engine.minimum = (99, 0);
    assert_eq!(outcome(&asked, &given), (owned(&["engine differs"]), Vec::new()));
}

#[test]
fn ignored_facts_are_left_and_the_others_corrected() {
    let given = recorded("services/nothing-runs");
    let mut one = prepared(&given, DriftPolicy::Correct);
    let rule = |kind, fact: &str, quarantined| Ignore {
        kind,
        fact: fact.to_owned(),
        reason: "the owner's".to_owned(),
        quarantined,
    };
    one.environment.drift.ignore = vec![rule(Kind::Services, "work*", false), rule(Kind::Services, "web", true)];
    let (steps, left) = steps_and_rest(&one, &given);
    assert_eq!(Prepared::differing(&steps, &left), [Kind::Services]);
    assert!(steps[0].changes.iter().all(|change| change.fact != "worker" && change.fact != "web"), "{steps:?}");
    assert_eq!(
        left.iter().map(|left| (left.why, left.changes[0].fact.as_str())).collect::<Vec<_>>(),
        [(Why::Quarantined, "web"), (Why::Ignored, "worker")]
    );
    // An ignored fact leaves nothing to be done. Only a quarantined fact still counts as a difference.
    one.environment.drift.ignore = vec![rule(Kind::Services, "*", false)];
    let (steps, left) = steps_and_rest(&one, &given);
    assert_eq!((steps.len(), Prepared::differing(&steps, &left)), (0, Vec::new()));
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
