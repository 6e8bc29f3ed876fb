//! Snapshots of the plain text output.

use super::*;
use crate::model::event::{
    Action, Change, Health, Left, Outcome, PlanView, PlannedStep, ResultView, Stays, StepReason, StepState, StepView,
    Summary, Unchanged, Why,
};
use crate::model::failure::{Failure, Location, Reason};
use crate::model::hostile::{ESCAPE, Page, acting, every_event, hostile, taken};
use crate::model::state::{Kind, Stage};
use crate::model::verdict::{Judgement, Vantage};
use crate::render::stream::Readers;
use proptest::prelude::*;

/// Returns the output to a pipe: standard output and standard error.
fn printed(events: &[Event], programs: bool) -> (String, String) {
    shown(events, Readers { programs, styled: false })
}

/// Returns the output for these readers.
fn shown(events: &[Event], readers: Readers) -> (String, String) {
    let (out, err) = (Page::default(), Page::default());
    let look = Look { color: readers.styled, ..Look::default() };
    let terminal = Terminal::new(Streams {
        out: Stream::new(Box::new(out.clone()), readers),
        err: Stream::new(Box::new(err.clone()), readers),
        stdout: look,
        stderr: look,
        animated: false,
        interactive: false,
    });
    for event in events {
        terminal.event(event);
    }
    (out.text(), err.text())
}

fn step(environment: &str, kind: Kind, action: Action, reason: StepReason, changes: Vec<Change>) -> PlannedStep {
    PlannedStep {
        environment: environment.to_owned(),
        kind,
        action,
        reason,
        destructive: action == Action::Remove,
        changes,
    }
}

fn change(fact: &str, from: Option<&str>, to: Option<&str>) -> Change {
    Change { fact: fact.to_owned(), from: from.map(str::to_owned), to: to.map(str::to_owned), diff: None, note: None }
}

fn left(why: Why, reason: Option<&str>) -> Left {
    let changes = vec![change("app/motd", Some("0644 sha256:aa"), Some("0644 sha256:bb"))];
    let (environment, reason) = ("lab".to_owned(), reason.map(str::to_owned));
    Left { environment, kind: Kind::Files, why, reason, changes }
}

fn environment(name: &str) -> EnvironmentView {
    EnvironmentView {
        name: name.to_owned(),
        target: "registered",
        stage: Stage::Running,
        health: Health::Healthy,
        drifted: Vec::new(),
        left: Vec::new(),
        failed: None,
        in_progress: None,
        suspended: false,
        protected: false,
        observed_at: None,
        address: "203.0.113.7".to_owned(),
        endpoints: vec!["http://203.0.113.7:8080".to_owned()],
        backup: None,
        services: std::collections::BTreeMap::new(),
        unwell: Vec::new(),
        unreachable: None,
    }
}

fn result(command: &'static str) -> Event {
    Event::Result(ResultView { command, outcome: Outcome::Ok, exit_code: 0 })
}

fn plan() -> PlanView {
    let digest = "0123456789abcdef".repeat(4);
    let other = "fedcba9876543210".repeat(4);
    let mut edited = change("app/motd", Some(&format!("{digest} 0644")), Some(&format!("{other} 0644")));
    edited.diff = Some("@@ -1 +1 @@\n-hello\n+hello \u{1b}[2Jworld\n".to_owned());
    edited.note = Some("restarts web".to_owned());
    PlanView {
        summary: Summary { create: 3, update: 1, replace: 0, remove: 1 },
        steps: vec![
            step(
                "production",
                Kind::Engine,
                Action::Create,
                StepReason::Missing,
                vec![change("docker", None, Some("26.1"))],
            ),
            step(
                "production",
                Kind::Files,
                Action::Update,
                StepReason::Differs,
                vec![edited, change("app/old.conf", Some(&digest), None), change("app/new", None, Some(&other))],
            ),
            step("production", Kind::Services, Action::Create, StepReason::Missing, Vec::new()),
            step(
                "old",
                Kind::Services,
                Action::Remove,
                StepReason::Differs,
                vec![change("web", Some("running"), None)],
            ),
            step("lab", Kind::Access, Action::Create, StepReason::Unverified, Vec::new()),
        ],
        observed_seconds_ago: Some(310),
        converged: vec!["staging".to_owned(), "tokyo".to_owned()],
        left: vec![left(Why::Detect, None), left(Why::Ignored, Some("edited by the owner"))],
        ..PlanView::default()
    }
}

#[test]
fn a_plan() {
    insta::assert_snapshot!(printed(&[Event::Plan(plan())], false).0);
}

#[test]
fn a_plan_without_steps() {
    let nothing = |names: &[&str]| {
        let converged = names.iter().map(ToString::to_string).collect();
        printed(&[Event::Plan(PlanView { converged, ..PlanView::default() })], false).0
    };
    assert_eq!(nothing(&["production"]), "No changes. production matches the manifest.\n");
    assert_eq!(nothing(&["a", "b", "c"]), "No changes. a, b and c match the manifest.\n");
    assert_eq!(nothing(&["a"; 50]), "No changes. 50 environments match the manifest.\n");
    let held = |converged: &[&str]| {
        let unchanged = |why| Unchanged { environment: "lab".to_owned(), why, release: Some("7".to_owned()) };
        let converged = converged.iter().map(ToString::to_string).collect();
        let unchanged = Stays::ALL.map(unchanged).to_vec();
        printed(&[Event::Plan(PlanView { converged, unchanged, ..PlanView::default() })], false).0
    };
    let sentences = "lab stays at release 7, to which it was rolled back. To apply the manifest again: deployer apply \
                     lab --retry\nlab is already at release 7\nlab is not on its host: there is nothing to destroy\nlab \
                     is not on its host, but its data was kept. To delete the data: deployer destroy lab --purge\nlab \
                     has images that could not be compared with their registry\n";
    assert_eq!(held(&[]), sentences);
    assert_eq!(held(&["a"]), format!("{sentences}No changes. a matches the manifest.\n"));
    assert_eq!(nothing(&[]), "No changes: there are no environments to compare\n");
    let unplanned = vec!["production".to_owned()];
    assert_eq!(printed(&[Event::Plan(PlanView { unplanned, ..PlanView::default() })], false).0, "");
}

#[test]
fn digests_that_begin_alike_do_not_look_the_same() {
    let (one, two) = (format!("{}a", "0".repeat(63)), format!("{}b", "0".repeat(63)));
    let steps =
        vec![step("a", Kind::Files, Action::Update, StepReason::Differs, vec![change("f", Some(&one), Some(&two))])];
    let text = printed(&[Event::Plan(PlanView { steps, ..PlanView::default() })], false).0;
    assert!(text.contains(&format!("{one} → {two}")), "{text}");
}

#[test]
fn a_run_that_changes_something() {
    let step = |state, duration_ms| {
        Event::Step(StepView { environment: "production".to_owned(), kind: Kind::Engine, state, duration_ms })
    };
    let events = [
        Event::Progress { environment: "production".to_owned(), kind: None, activity: "connecting".to_owned() },
        step(StepState::Started, None),
        step(StepState::Applied, Some(12_345)),
        Event::Warning { environment: Some("production".to_owned()), message: "old engine".to_owned() },
        Event::Environment(Box::new(environment("production"))),
        result("apply"),
    ];
    let (out, err) = printed(&events, false);
    insta::assert_snapshot!(format!("stdout\n{out}\nstderr\n{err}"));
}

#[test]
fn status() {
    let failed = EnvironmentView {
        stage: Stage::Configured,
        health: Health::None,
        drifted: vec![Kind::Files, Kind::Services],
        left: vec![left(Why::Detect, None), left(Why::Ignored, Some("edited by the owner"))],
        failed: Some(crate::model::event::FailedView {
            kind: Some(Kind::Files),
            reason: "disk-full".to_owned(),
            message: "12 MB are free below /opt on lab, 40 MB are needed".to_owned(),
            at: "2026-03-01T10:20:30.456Z".parse().expect("a time"),
            run: "0197".to_owned(),
        }),
        endpoints: Vec::new(),
        suspended: true,
        ..environment("lab")
    };
    let lost = EnvironmentView {
        unreachable: Some("tokyo.example.com refuses connections on port 22".to_owned()),
        observed_at: Some("2026-03-01T10:20:30.456Z".parse().expect("a time")),
        in_progress: Some("ci@runner".to_owned()),
        ..environment("tokyo")
    };
    let gone = EnvironmentView {
        stage: Stage::Destroyed,
        health: Health::None,
        endpoints: Vec::new(),
        suspended: true,
        ..environment("osaka")
    };
    let events = [environment("production"), failed, lost, gone].map(|e| Event::Environment(Box::new(e)));
    let mut events = events.to_vec();
    events.push(result("status"));
    insta::assert_snapshot!(printed(&events, false).0);
}

#[test]
fn checks() {
    let check = |name: &str, passed, found: &str| {
        Event::Check(CheckView {
            environment: "production".to_owned(),
            check: name.to_owned(),
            passed,
            found: found.to_owned(),
        })
    };
    let events = [check("page", true, "200"), check("service db", false, "exited 1\r\u{1b}[1A"), result("test")];
    insta::assert_snapshot!(printed(&events, false).0);
}

#[test]
fn verdicts() {
    let verdict = |name: &str, vantage, outcome, detail: &str| {
        Event::Verdict(VerdictView {
            environment: "production".to_owned(),
            name: name.to_owned(),
            vantage,
            outcome,
            detail: detail.to_owned(),
            duration_ms: 5,
        })
    };
    let events = [
        verdict("UDP tracker 6969", Vantage::Outside, Judgement::Passed, "seen over IPv6 as 2001:db8::2, 1 seeder"),
        verdict("certificate of a.example", Vantage::Outside, Judgement::Warned, "valid for 9 days"),
        verdict("prometheus", Vantage::Inside, Judgement::Failed, "no target for x\r\u{1b}[1A"),
        verdict("conntrack", Vantage::Inside, Judgement::Skipped, "the host does not track connections"),
        result("test"),
    ];
    insta::assert_snapshot!(printed(&events, false).0);
}

#[test]
fn a_failure_on_a_host() {
    let failure = Failure::new(Reason::ServicesFailed, "Docker Compose could not start web")
        .on("production")
        .hint("Look at deployer logs production")
        .details("web-1  | panic: \u{1b}[31mno config\nweb-1  | exit 2\n");
    insta::assert_snapshot!(printed(&[Event::Failure(failure)], false).1);
}

#[test]
fn a_failure_in_a_file() {
    let source =
        "version: 1\nproject: shop\nenvironments:\n  production:\n    registred: { address: a }\n    x: \u{7}\n";
    let start = source.find("registred").expect("there");
    let at = Location {
        file: "deployment.yaml".to_owned(),
        line: 5,
        column: 5,
        span: Some(start..start + 9),
        source: Some(source.into()),
    };
    let failure = |location| {
        Failure::new(Reason::ManifestInvalid, "Environment production has no key registred; did you mean registered?")
            .at(location)
    };
    let without_span = Location { span: None, ..at.clone() };
    let without_source = Location { source: None, ..at.clone() };
    let texts = [at, without_span, without_source].map(|at| printed(&[Event::Failure(failure(at))], false).1);
    insta::assert_snapshot!(texts.join("\n----\n"));
}

#[test]
fn places_at_the_edges_of_a_file() {
    for (source, line, column, span) in [
        ("", 1, 1, Some(0..0)),
        ("", 9, 9, None),
        ("a", 1, 2, Some(1..1)),
        ("ü\n", 1, 2, None),
        ("a", 1, 1, Some(5..9)),
        ("ü", 1, 1, Some(1..2)),
    ] {
        let at = Location { file: "f".to_owned(), line, column, span, source: Some(source.into()) };
        let text = printed(&[Event::Failure(Failure::new(Reason::ManifestInvalid, "Bad").at(at))], false).1;
        assert!(text.contains("Bad"), "{text}");
    }
}

#[test]
fn a_column_counts_characters_and_line_ends_of_other_systems_are_not_shown() {
    let source = "version: 1\r\nnäme: \"ünïcödé\", host_keys: x\r\nlast: 1\r\n";
    let start = source.find("host_keys").expect("written");
    let column = source[..start].lines().last().expect("a line").chars().count() + 1;
    let at =
        Location { file: "f".to_owned(), line: 2, column, span: Some(start..start + 9), source: Some(source.into()) };
    let text = printed(&[Event::Failure(Failure::new(Reason::ManifestInvalid, "Bad").at(at))], false).1;
    assert!(text.contains(&format!("f:2:{column}")) && !text.contains('?'), "{text}");
}

#[test]
fn documents_reach_only_their_programs_and_unchanged() {
    let output = [Event::Output("a\u{1b}[2Jb\n::c\n".to_owned()), Event::Output("line".to_owned())];
    assert_eq!(printed(&output, true).0, "a\u{1b}[2Jb\n::c\nline\n");
    assert_eq!(printed(&output, false).0, "a\\u{1b}[2Jb\n\\::c\nline\n");
}

#[test]
fn output_of_services_is_plain_text_for_people_and_programs() {
    let said = |error| Event::Said { text: "\u{1b}[31mred\u{1b}[0m\r::x\r\n ::y\u{1b}[2J\n".to_owned(), error };
    let text = "red\\r::x\n \\::y\\u{1b}[2J\n".to_owned();
    for programs in [true, false] {
        assert_eq!(printed(&[said(false)], programs), (text.clone(), String::new()));
        assert_eq!(printed(&[said(true)], programs), (String::new(), text.clone()));
    }
}

#[test]
fn no_style_of_others_gets_through() {
    let mut events = every_event("\u{1b}[31mred\u{1b}[0m");
    // Documents are deployer's own, and the help has styles.
    events.retain(|event| !matches!(event, Event::Output(_)));
    let (out, err) = shown(&events, Readers { styled: true, programs: false });
    for text in [out, err] {
        assert!(text.contains("\\u{1b}[31mred\\u{1b}[0m") && !text.contains("\u{1b}[31mred"), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_of_others_acts_on_a_terminal_or_a_runner(foreign in hostile(), styled in any::<bool>()) {
        let (out, err) = shown(&every_event(&foreign), Readers { styled, programs: false });
        for text in [out, err] {
            prop_assert_eq!(taken(&text), Vec::<String>::new(), "{}", text);
            prop_assert_eq!(acting(&text), Vec::<char>::new(), "{}", text);
            prop_assert!(styled || !text.contains(ESCAPE));
        }
    }
}
