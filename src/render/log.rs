//! Events as a log: one line each, with its time, on standard output. Does not animate, ask or colour, and holds
//! nothing back until the end, which may be months away.

use super::Render;
use super::stream::Stream;
use super::text::{duration, value};
use crate::model::defuse;
use crate::model::event::{Change, EnvironmentView, Event, Left, PlannedStep, StepView, Why};
use crate::model::failure::Failure;
use crate::model::front::Front;
use jiff::Timestamp;
use std::time::Duration;

/// A renderer that prints each event on lines of text.
pub(super) struct Log {
    out: Stream,
    now: fn() -> Timestamp,
    verbose: bool,
}

impl Log {
    pub(super) const fn new(out: Stream, now: fn() -> Timestamp, verbose: bool) -> Self {
        Self { out, now, verbose }
    }
}

impl Front for Log {
    fn event(&self, event: &Event) {
        let at = (self.now)();
        let lines = lines(event, self.verbose).into_iter();
        self.out.say(&lines.fold(String::new(), |text, line| text + &format!("{at:.0} {}\n", defuse::line(&line))));
    }

    fn can_ask(&self) -> bool {
        false
    }

    fn ask(&self, _question: &str) -> Option<String> {
        None
    }
}

impl Render for Log {
    fn lost(&self) -> bool {
        self.out.lost()
    }
}

/// Returns the lines for an event.
fn lines(event: &Event, verbose: bool) -> Vec<String> {
    match event {
        Event::Progress { environment, activity, .. } if verbose => vec![format!("{environment}: {activity}")],
        Event::Progress { .. }
        | Event::Check(_)
        | Event::Verdict(_)
        | Event::Run(_)
        | Event::Release(_)
        | Event::Archive(_) => Vec::new(),
        Event::Plan(plan) => {
            let steps = plan.steps.iter().map(planned).chain(plan.left.iter().filter_map(|it| left(it, verbose)));
            let rest =
                plan.uncompared.iter().map(|(name, files)| format!("{name}: not compared: {}", files.join(", ")));
            steps.chain(rest).collect()
        }
        Event::Step(step) => vec![ended(step)],
        Event::Environment(view) => vec![standing(view)],
        Event::Failure(failure) => failed(failure),
        Event::Warning { environment, message } => vec![format!("{}warning: {message}", of(environment.as_deref()))],
        Event::Output(text) | Event::Said { text, .. } | Event::Note(text) => text.lines().map(str::to_owned).collect(),
        Event::Watch(watch) => vec![format!("{}{}", of(watch.environment.as_deref()), watch.message)],
        Event::Result(result) => vec![format!("watch ended: {}", result.outcome.name())],
    }
}

/// Returns the beginning of a line about an environment.
fn of(environment: Option<&str>) -> String {
    environment.map_or_else(String::new, |name| format!("{name}: "))
}

fn planned(step: &PlannedStep) -> String {
    let action = format!("{:?}", step.action).to_lowercase();
    format!("{}: to {action} {} ({}){}", step.environment, step.kind, step.reason, facts(&step.changes))
}

fn left(left: &Left, verbose: bool) -> Option<String> {
    let why = match left.why {
        Why::Ignored if !verbose => return None,
        Why::Ignored => "ignored",
        Why::Detect => "drifted",
        Why::Quarantined => "quarantined",
    };
    Some(format!("{}: not changed: {} ({why}){}", left.environment, left.kind, facts(&left.changes)))
}

fn facts(changes: &[Change]) -> String {
    const NAMED: usize = 8;
    let word = |it: &Option<String>| it.as_deref().map_or_else(|| "nothing".to_owned(), value);
    let one = |change: &Change| format!("{} {} -> {}", change.fact, word(&change.from), word(&change.to));
    let named: Vec<String> = changes.iter().take(NAMED).map(one).collect();
    let more = changes.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) }
}

fn ended(step: &StepView) -> String {
    let took = step.duration_ms.map(|ms| format!(" in {}", duration(Duration::from_millis(ms))));
    format!("{}: {} {}{}", step.environment, step.kind, step.state.name(), took.unwrap_or_default())
}

fn standing(view: &EnvironmentView) -> String {
    let health = format!("{:?}", view.health).to_lowercase();
    let kinds: Vec<String> = view.drifted.iter().map(ToString::to_string).collect();
    let parts = [
        Some(format!("{}: {}, health {health}", view.name, view.stage)),
        (!kinds.is_empty()).then(|| format!("differs: {}", kinds.join(" "))),
        view.suspended.then(|| "suspended".to_owned()),
        view.unreachable.as_ref().map(|why| format!("unreachable: {why}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn failed(failure: &Failure) -> Vec<String> {
    let environment = of(failure.environment.as_deref());
    let place = failure.location.as_ref().map(|at| format!("{}:{}:{}: ", at.file, at.line, at.column));
    let place = place.unwrap_or_default();
    let reason = failure.reason.code();
    let mut lines = vec![format!("{environment}error: {place}{} ({reason}); {}", failure.message(), failure.advice())];
    lines.extend(failure.details.iter().flat_map(|text| text.lines()).map(|line| format!("{environment}  {line}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::StepReason;
    use crate::model::event::{Action, Happening, PlanView, WatchView};
    use crate::model::failure::Reason;
    use crate::model::hostile::{Page, acting, every_event, hostile, taken};
    use crate::model::state::Kind;
    use crate::render::stream::Readers;
    use proptest::prelude::*;

    #[test]
    fn every_line_says_whom_it_is_about() {
        let change = |fact: &str| Change {
            fact: fact.to_owned(),
            from: Some("running".to_owned()),
            to: None,
            diff: None,
            note: None,
        };
        let step = PlannedStep {
            environment: "lab".to_owned(),
            kind: Kind::Services,
            action: Action::Update,
            reason: StepReason::Drifted,
            destructive: false,
            changes: (0..9).map(|number| change(&format!("s{number}"))).collect(),
        };
        let left = |why| Left {
            environment: "lab".to_owned(),
            kind: Kind::Files,
            why,
            reason: None,
            changes: vec![change("motd")],
        };
        let plan =
            PlanView { steps: vec![step], left: vec![left(Why::Detect), left(Why::Ignored)], ..PlanView::default() };
        let failure = Failure::new(Reason::Unhealthy, "web is bad").on("lab").details("one\ntwo");
        let watch = WatchView {
            at: Timestamp::UNIX_EPOCH,
            event: Happening::Quarantined,
            environment: Some("lab".to_owned()),
            message: "it fights back".to_owned(),
        };
        let events = [Event::Plan(plan), Event::Failure(failure), Event::Watch(watch)];
        let said: Vec<String> = events.iter().flat_map(|event| lines(event, false)).collect();
        assert!(said.iter().all(|line| line.starts_with("lab: ")), "{said:#?}");
        assert!(said[0].ends_with("s7 running -> nothing, and 1 more"), "{}", said[0]);
        assert_eq!(said[1], "lab: not changed: files (drifted): motd running -> nothing");
        assert_eq!(said.len(), 6);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_of_others_begins_a_line(foreign in hostile()) {
            let (page, at) = (Page::default(), Timestamp::UNIX_EPOCH);
            let log = Log::new(Stream::new(Box::new(page.clone()), Readers::default()), || Timestamp::UNIX_EPOCH, true);
            for event in every_event(&foreign) {
                log.event(&event);
            }
            let text = page.text();
            prop_assert_eq!((taken(&text), acting(&text)), (Vec::new(), Vec::new()), "{}", text);
            prop_assert!(text.lines().all(|line| line.starts_with(&format!("{at:.0} "))), "{}", text);
        }
    }
}
