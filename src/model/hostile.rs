//! Test helpers: foreign text in every field of every event, and the parts of an output that readers would interpret.

use crate::model::defuse::is_active;
use crate::model::event::{
    Action, ArchiveView, BackupView, Change, CheckView, EnvironmentView, Event, FailedStep, FailedView, Happening,
    Health, Left, Outcome, PlanView, PlannedStep, ReleaseView, ResultView, RunView, Stays, StepReason, StepState,
    StepView, Unchanged, VerdictView, WatchView, Why,
};
use crate::model::failure::{Failure, Location, Reason};
use crate::model::state::{Kind, Stage};
use crate::model::verdict::{Judgement, Vantage};
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A stream that can be read afterwards.
#[derive(Clone, Default)]
pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::Write::write(&mut *self.0.lock().expect("a page"), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Page {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("a page").clone()).expect("text")
    }
}

pub(crate) const ESCAPE: char = '\u{1b}';

fn change(foreign: &str) -> Change {
    let some = || Some(foreign.to_owned());
    let diff = Some(format!("@@ -1 +1 @@\n-a\n+b\n {foreign}\n{foreign}"));
    Change { fact: foreign.to_owned(), from: some(), to: some(), diff, note: some() }
}

fn left(foreign: &str, why: Why) -> Left {
    let (environment, reason) = (foreign.to_owned(), Some(foreign.to_owned()));
    Left { environment, kind: Kind::Files, why, reason, changes: vec![change(foreign)] }
}

fn place(foreign: &str) -> Location {
    let source = format!("a\n{foreign}\nb\n");
    Location { file: foreign.to_owned(), line: 2, column: 1, span: None, source: Some(source.into()) }
}

fn plan(foreign: &str) -> PlanView {
    let text = || foreign.to_owned();
    let change = || change(foreign);
    let step = |destructive| PlannedStep {
        environment: text(),
        kind: Kind::Engine,
        action: if destructive { Action::Remove } else { Action::Update },
        reason: StepReason::Differs,
        destructive,
        changes: vec![change(), Change { to: None, ..change() }, Change { from: None, ..change() }],
    };
    PlanView {
        project: text(),
        steps: vec![step(true), step(false)],
        edges: vec![(0, 1)],
        against: Some(text()),
        converged: vec![text()],
        unchanged: Stays::ALL.map(|why| Unchanged { environment: text(), why, release: Some(text()) }).to_vec(),
        unplanned: vec![text()],
        uncompared: BTreeMap::from([(text(), vec![text()])]),
        places: BTreeMap::from([(text(), place(foreign))]),
        left: Why::ALL.map(|why| left(foreign, why)).to_vec(),
        ..PlanView::default()
    }
}

fn environment(foreign: &str) -> EnvironmentView {
    let (text, some, now) = (|| foreign.to_owned(), || Some(foreign.to_owned()), Timestamp::UNIX_EPOCH);
    let backup = BackupView {
        last: Some(now),
        archive: some(),
        bytes: Some(1),
        overdue: true,
        failed: some(),
        after_failed: some(),
        restoring: some(),
    };
    EnvironmentView {
        name: text(),
        target: "registered",
        stage: Stage::Running,
        health: Health::Unhealthy,
        drifted: vec![Kind::Files],
        left: vec![left(foreign, Why::Detect)],
        failed: Some(FailedView { kind: Some(Kind::Files), reason: text(), message: text(), at: now, run: text() }),
        in_progress: some(),
        suspended: true,
        protected: true,
        observed_at: Some(now),
        address: text(),
        endpoints: vec![text()],
        backup: Some(backup),
        services: BTreeMap::from([(text(), text())]),
        unwell: vec![text()],
        unreachable: some(),
    }
}

/// Returns an event of every type, with foreign text in every text field.
pub(crate) fn every_event(foreign: &str) -> Vec<Event> {
    let (text, some, now) = (|| foreign.to_owned(), || Some(foreign.to_owned()), Timestamp::UNIX_EPOCH);
    let failure = || Failure::new(Reason::Unhealthy, text()).on(foreign).hint(text()).details(text());
    vec![
        Event::Progress { environment: text(), kind: None, activity: text() },
        Event::Plan(plan(foreign)),
        Event::Plan(PlanView { converged: vec![text()], against: some(), ..PlanView::default() }),
        Event::Step(StepView {
            environment: text(),
            kind: Kind::Files,
            state: StepState::Failed,
            duration_ms: Some(5),
        }),
        Event::Environment(Box::new(environment(foreign))),
        Event::Check(CheckView { environment: text(), check: text(), passed: false, found: text() }),
        Event::Verdict(VerdictView {
            environment: text(),
            name: text(),
            vantage: Vantage::Inside,
            outcome: Judgement::Failed,
            detail: text(),
            duration_ms: 1,
        }),
        Event::Run(RunView {
            id: text(),
            command: text(),
            by: text(),
            started_at: now,
            duration_ms: None,
            outcome: some(),
            environments: vec![text()],
            failed: vec![FailedStep { environment: text(), kind: text() }],
        }),
        Event::Release(ReleaseView {
            environment: text(),
            release: text(),
            live: false,
            kept: false,
            rejected: some(),
        }),
        Event::Archive(ArchiveView { environment: text(), archive: text(), bytes: 1, made: now, saved: some() }),
        Event::Failure(failure()),
        Event::Failure(failure().at(Location { source: None, ..place(foreign) })),
        Event::Failure(failure().at(place(foreign))),
        Event::Warning { environment: some(), message: text() },
        Event::Output(text()),
        Event::Said { text: text(), error: false },
        Event::Said { text: text(), error: true },
        Event::Note(text()),
        Event::Watch(WatchView { at: now, event: Happening::Reconciled, environment: some(), message: text() }),
        Event::Result(ResultView { command: "status", outcome: Outcome::Failed, exit_code: 1 }),
    ]
}

/// Generates text with many sequences that readers act on.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "::",
        ":",
        "error",
        "::add-mask::x",
        "##",
        "#",
        "[",
        "##[",
        "##vso[x]",
        "stop-commands",
        " ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\u{b}",
        "\u{85}",
        "\u{a0}",
        "\u{2028}",
        "\u{200b}",
        "\u{200d}",
        "\u{feff}",
        "\u{3000}",
        "é",
        "\0",
        "\u{1b}[31m",
        "\u{1b}[0m",
        "\u{1b}[2J",
        "\u{1b}]0;t\u{7}",
        "\u{9b}2J",
        "\u{202e}",
        "\u{2066}",
        "\u{61c}",
        "section_start:1:n",
        "section_end:1:n",
        "\r\u{1b}[0K",
        "```",
        "`",
        "<!--",
        "-->",
        "</details>",
        "@team",
        "![x](y)",
        "&",
        "\"",
        "]]>",
        "%0A",
        "%",
        ",",
        "\\",
        "EOF",
        "x",
    ]);
    prop_oneof![prop::collection::vec(pieces, 0..24).prop_map(|all| all.concat()), any::<String>()]
}

/// Returns the lines that a runner would take as commands by GitHub's rules, whether it keeps colours or not.
pub(crate) fn taken(text: &str) -> Vec<String> {
    let bare = anstream::adapter::strip_str(text).to_string();
    let lines = |text: &str| text.split(['\n', '\r']).map(str::to_owned).collect::<Vec<_>>();
    let invisible = |c: char| c.is_whitespace() || c.is_control() || is_active(c, 'a');
    let takes = |line: &String| {
        let azure = line
            .match_indices("##")
            .any(|(at, _)| line[at + 2..].trim_start_matches(|c: char| c.is_ascii_alphanumeric()).starts_with('['));
        line.trim_start_matches(invisible).starts_with("::") || azure
    };
    lines(text).into_iter().chain(lines(&bare)).filter(takes).collect()
}

/// Returns the characters of a text that act on its reader, except line breaks, tabs and deployer's own styles.
pub(crate) fn acting(text: &str) -> Vec<char> {
    let mut before = '\n';
    let (mut bare, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('\u{1b}') {
        bare.push_str(&rest[..at]);
        let style = OWN.iter().find(|style| rest[at + 1..].starts_with(**style));
        bare.extend(style.is_none().then_some('\u{1b}'));
        rest = &rest[at + 1 + style.map_or(0, |style| style.len())..];
    }
    (bare + rest).chars().filter(|c| is_active(*c, std::mem::replace(&mut before, *c))).collect()
}

/// The text after ESC in deployer's own styles.
const OWN: [&str; 23] = [
    "[0m",
    "[1m",
    "[2m",
    "[3m",
    "[4m",
    "[22m",
    "[31m",
    "[32m",
    "[33m",
    "[34m",
    "[35m",
    "[36m",
    "[37m",
    "[39m",
    "[31;1m",
    "[36;1m",
    "[36;1;4m",
    "[35;1m",
    "[38;5;1m",
    "[38;5;2m",
    "[38;5;9m",
    "[38;5;10m",
    "[38;5;11m",
];
