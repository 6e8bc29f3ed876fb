use super::*;
use crate::model::event::{Action, Change, Outcome, PlannedStep, Stays, StepReason, Unchanged};
use crate::model::failure::Reason;
use crate::model::state::Kind;
use proptest::prelude::*;

fn step(environment: &str, reason: StepReason, destructive: bool, changes: Vec<Change>) -> PlannedStep {
    let kind = Kind::Files;
    let action = if destructive { Action::Remove } else { Action::Update };
    PlannedStep { environment: environment.into(), kind, action, reason, destructive, changes }
}

fn change(fact: &str, value: &str, diff: Option<String>) -> Change {
    Change { fact: fact.into(), from: Some(value.into()), to: Some("new".into()), diff, note: Some(value.into()) }
}

fn whole(plan: Option<PlanView>, failures: Vec<Failure>) -> Page {
    Page { file: "deploy/deployment.yaml".into(), plan, failures, ..Page::default() }
}

/// Checks the page roughly by GitHub's rules: text outside of fences and of deployer's own tags is plain, sections are
/// balanced, and every fence is deployer's own.
fn sound(page: &str) {
    assert!(page.len() < LIMIT, "{} bytes", page.len());
    let (mut fence, mut folds) = (0, 0_i32);
    for line in page.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        if fence > 0 {
            if ticks >= fence && line.len() == ticks {
                fence = 0;
            }
            continue;
        }
        if ticks >= 3 {
            assert!(matches!(&line[ticks..], "diff" | "mermaid"), "{line}");
            fence = ticks;
            continue;
        }
        folds += i32::from(line.contains("<details>")) - i32::from(line.contains("</details>"));
        assert!((0..=1).contains(&folds), "{line}");
        let mut plain = line.to_owned();
        if line.starts_with("<!-- deployer-") {
            let inside = line.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")).expect("one comment");
            assert!(!inside.contains("--") && !inside.contains('>'), "{line}");
            continue;
        }
        for tag in ["<!-- -->", "<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"] {
            plain = plain.replace(tag, "");
        }
        assert!(!plain.contains(['<', '>', '`', '|', '[', ']', '@', '\\', '!']), "{line}");
        assert_eq!(line.matches("<code>").count(), line.matches("</code>").count(), "{line}");
    }
    assert_eq!((fence, folds), (0, 0), "all is closed");
}

#[test]
fn a_plan() {
    let diff = "@@ -1 +1 @@\n-one\n+``` two </details>\n".to_owned();
    let mut view = PlanView {
        project: "shop".into(),
        steps: vec![
            step("old", StepReason::Destroyed, true, Vec::new()),
            step(
                "production",
                StepReason::Differs,
                false,
                vec![change("html/index.html", "0644 sha256:1", Some(diff))],
            ),
        ],
        edges: vec![(0, 1)],
        converged: vec!["lab".into()],
        ..PlanView::default()
    };
    view.summary.update = 1;
    view.summary.remove = 1;
    let failure = Failure::new(Reason::ConnectionRefused, "tokyo refuses | connections").on("tokyo");
    let page = plan(&whole(Some(view), vec![failure]));
    sound(&page);
    insta::assert_snapshot!(page);
}

#[test]
fn a_plan_without_steps_and_none_at_all() {
    let converged = vec!["a".to_owned(), "b".to_owned()];
    let unplanned = PlanView { project: "shop".into(), unplanned: vec!["a".into()], ..PlanView::default() };
    assert!(plan(&whole(Some(unplanned), vec![])).contains(": incomplete\n"));
    let page = plan(&whole(Some(PlanView { project: "shop".into(), converged, ..PlanView::default() }), vec![]));
    assert!(page.starts_with("<!-- deployer-plan shop -->\n<!-- deployer-manifest deploy/deployment.yaml -->\n## Plan of <code>shop</code>: no changes\n"), "{page}");
    let why = Stays::RolledBack;
    let unchanged = vec![Unchanged { environment: "lab".into(), why, release: Some("7".into()) }; 12];
    let page = plan(&whole(Some(PlanView { unchanged, ..PlanView::default() }), vec![]));
    let sentence = "<code>lab stays at release 7, to which it was rolled back.";
    assert_eq!(page.matches(sentence).count(), 10, "{page}");
    assert!(page.contains("No changes in 2 environments more\n") && !page.contains("<code>lab</code>"), "{page}");
    sound(&page);
    let page = plan(&whole(None, vec![Failure::new(Reason::ManifestMissing, "No such file")]));
    // The comment is found regardless of the manifest's content.
    let marker = "<!-- deployer-plan -->\n<!-- deployer-manifest deploy/deployment.yaml -->\n";
    assert!(
        page.starts_with(marker) && page.contains("No plan was made") && page.contains("manifest-missing"),
        "{page}"
    );
    sound(&page);
}

#[test]
fn the_least_important_parts_are_omitted_first_and_the_text_lists_them() {
    let lines = |count: usize| "+a line of some length, to fill the page\n".repeat(count);
    let view = |environments: usize, facts: usize, diff: Option<usize>| PlanView {
        steps: (0..environments)
            .map(|at| {
                let facts = (0..facts).map(|fact| change(&format!("f{fact}"), "old", diff.map(lines))).collect();
                step(&format!("e{at}"), StepReason::Differs, false, facts)
            })
            .collect(),
        ..PlanView::default()
    };
    for (environments, facts, diff, said) in [
        (2, 5, Some(20), ""),
        (2, 5, Some(1000), "… and 940 more lines"),
        (2, 150, Some(1000), "Left out for its length: the diffs of 300 files"),
        (2, 2000, None, "Left out for its length: 3960 changes"),
        (300, 100, None, "Left out for its length: 30000 changes, the graph"),
        (10_000, 3, None, "Left out for its length: what 10000 steps do in detail, the graph"),
    ] {
        let page = plan(&whole(Some(view(environments, facts, diff)), vec![]));
        sound(&page);
        assert!(page.contains(said), "{said}:\n{}", &page[page.len().saturating_sub(300)..]);
        assert_eq!(page.contains("Left out"), said.contains("Left out"));
    }
}

#[test]
fn a_value_is_cut_only_if_the_page_says_so() {
    let value = |characters: usize| format!("{}; curl", "x".repeat(characters));
    let page = |values: usize| {
        let changes =
            (0..values).map(|at| Change { from: None, to: Some(value(1000)), ..change(&format!("f{at}"), "", None) });
        let view =
            PlanView { steps: vec![step("web", StepReason::Differs, false, changes.collect())], ..PlanView::default() };
        plan(&whole(Some(view), vec![]))
    };
    let curl = "&#59; curl</code>";
    let short = page(2);
    assert!(short.matches(curl).count() == 2 && !short.contains("Not shown"), "{short}");
    let long = page(80);
    sound(&long);
    let (head, steps) = long.split_once("<details>").expect("steps");
    let told = "**Not shown.** Left out for its length: the end of 80 values (in <code>web</code> files)\n";
    assert!(
        head.contains(told) && !steps.contains(curl) && steps.contains("…</code> and 846 characters more"),
        "{head}"
    );
}

#[test]
fn a_result() {
    let result = super::result(&[], &[], &ResultView { command: "apply", outcome: Outcome::Changed, exit_code: 0 });
    assert_eq!(result, "### deployer <code>apply</code>: changed, exit code 0\n\n\n");
}

/// Generates text with Markdown and HTML syntax.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "```",
        "`",
        "</details>",
        "<!--",
        "-->",
        "|",
        "\n",
        "\r",
        "@team",
        "[x](y)",
        "~~~",
        "<b>",
        "&lt;",
        "\u{202e}",
        "    ",
        "# ",
        "x",
        "$(x)",
        "\\",
        "é",
    ]);
    prop_oneof![prop::collection::vec(pieces, 0..40).prop_map(|all| all.concat()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_is_more_than_text_and_no_page_too_long(
        project in hostile(),
        steps in prop::collection::vec((hostile(), hostile(), any::<bool>(), hostile(), prop::option::of(hostile()), 1..200_usize), 0..50),
        converged in prop::collection::vec(hostile(), 0..12),
        messages in prop::collection::vec(hostile(), 0..20),
    ) {
        let steps = steps.into_iter().map(|(environment, value, destructive, fact, diff, times)| {
            let changes = vec![change(&fact, &value, diff.map(|diff| diff.repeat(times))); 1 + times / 50];
            step(&environment, StepReason::Differs, destructive, changes)
        }).collect();
        let view = PlanView { project: project.clone(), steps, converged, against: messages.first().cloned(), ..PlanView::default() };
        let failures: Vec<_> = messages.iter().map(|message| Failure::new(Reason::Usage, message).on(message)).collect();
        let warnings = messages.iter().map(|message| (Some(message.clone()), message.repeat(20))).collect();
        sound(&plan(&Page { file: project.clone(), warnings, ..whole(Some(view), failures) }));
    }
}

#[test]
fn marks_of_commands_do_not_make_a_page_longer_than_it_may_be() {
    let marks = |lines: usize| format!("+{}\n", "##[".repeat(30)).repeat(lines);
    for lines in [10, 300, 600, 640, 700, 2000] {
        let view = PlanView {
            project: "shop".into(),
            steps: vec![step("web", StepReason::Differs, false, vec![change("a", "b", Some(marks(lines)))])],
            ..PlanView::default()
        };
        let page = plan(&whole(Some(view), vec![]));
        sound(&page.replace("##\\[", "##["));
        assert!(page.len() < LIMIT, "{lines}: {}", page.len());
        assert_eq!(page, defuse::whole(&page, false), "a workflow's log gets the same");
    }
}

#[test]
fn files_that_are_not_compared_do_not_make_a_page_longer_than_it_may_be() {
    for (environments, length) in [(1, 10), (10, 80), (100, 300)] {
        let files: Vec<_> = (10..40).map(|at| format!("{at}{}", "@".repeat(length))).collect();
        let uncompared = (0..environments).map(|at| (format!("e{at}"), files.clone())).collect();
        let steps =
            (0..200).map(|at| step(&format!("e{at}"), StepReason::Differs, false, vec![change("a", "b", None)]));
        let page = plan(&whole(Some(PlanView { uncompared, steps: steps.collect(), ..PlanView::default() }), vec![]));
        sound(&page);
        assert_eq!(page.matches("**Not compared** in").count(), environments.min(FEW));
    }
}

#[test]
fn text_does_not_become_a_link() {
    assert_eq!(code("www.evil.example"), "<code>www&#46;evil.example</code>");
    assert_eq!(code("http://a"), "<code>http&#58;//a</code>");
    assert_eq!(code("a@b.c"), "<code>a<!-- -->&#64;b.c</code>");
}
