//! Additional output in a GitHub workflow: groups, masks and annotations on standard error, and a summary and outputs
//! in the workflow's files. Writes secrets only into masks.

use super::Render;
use super::github::{self, Command};
use super::markdown::{self, Page};
use super::stream::Stream;
use crate::model::event::{EnvironmentView, Event, PlanView, ResultView, StepState};
use crate::model::front::Front;
use crate::model::secret::Redactor;
use camino::{Utf8Path, Utf8PathBuf};
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The files that a workflow gives to a step.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The file in `GITHUB_STEP_SUMMARY`.
    pub summary: Option<Utf8PathBuf>,
    /// The file in `GITHUB_OUTPUT`.
    pub output: Option<Utf8PathBuf>,
}

/// A renderer that passes events to `inner` and writes the additional output for the workflow.
pub(super) struct Actions {
    inner: Arc<dyn Render>,
    err: Stream,
    files: Files,
    /// True if groups and annotations are written. They are not added to JSON lines or to a format that prints
    /// annotations itself.
    plain: bool,
    state: Mutex<State>,
}

/// The data that is kept until the end.
#[derive(Default)]
struct State {
    page: Page,
    environments: Vec<EnvironmentView>,
    groups: Groups,
    /// BLAKE3 digests of the values that have a mask.
    masked: BTreeSet<[u8; 32]>,
}

/// Groups of events by environment, one open at a time. Events of other environments wait until their own group is
/// open.
#[derive(Default)]
struct Groups {
    open: Option<String>,
    /// Steps of each environment that have not ended.
    left: BTreeMap<String, usize>,
    held: BTreeMap<String, Vec<Event>>,
}

/// The next output.
enum Said {
    Command(Command),
    Event(Box<Event>),
}

impl Groups {
    fn plan(&mut self, plan: &PlanView) {
        self.left.clear();
        for step in &plan.steps {
            *self.left.entry(step.environment.clone()).or_default() += 1;
        }
    }

    /// Returns the output for an event.
    fn take(&mut self, event: &Event) -> Vec<Said> {
        let environment = match event {
            Event::Progress { environment, .. } => Some(environment),
            Event::Step(step) => Some(&step.environment),
            _ => None,
        };
        let mut said = Vec::new();
        match environment.filter(|name| self.left.contains_key(*name)) {
            None => said.push(Said::Event(Box::new(event.clone()))),
            Some(name) if self.open.as_ref().is_some_and(|open| open != name) => {
                self.held.entry(name.clone()).or_default().push(event.clone());
            }
            Some(name) => self.write(name, event.clone(), &mut said),
        }
        while self.open.is_none() {
            let Some((name, events)) = self.held.pop_first() else { break };
            for event in events {
                self.write(&name, event, &mut said);
            }
        }
        said
    }

    fn write(&mut self, name: &str, event: Event, said: &mut Vec<Said>) {
        if self.open.is_none() {
            self.open = Some(name.to_owned());
            said.push(Said::Command(github::group(name)));
        }
        let ended = matches!(&event, Event::Step(step) if step.state != StepState::Started);
        said.push(Said::Event(Box::new(event)));
        let Some(left) = self.left.get_mut(name).filter(|_| ended) else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.left.remove(name);
            said.push(self.close());
        }
    }

    fn close(&mut self) -> Said {
        self.open = None;
        Said::Command(github::end_of_group())
    }

    /// Returns the output for all waiting events. No more events follow.
    fn end(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        loop {
            if self.open.is_some() {
                said.push(self.close());
            }
            let Some((name, events)) = self.held.pop_first() else { return said };
            for event in events {
                self.write(&name, event, &mut said);
            }
        }
    }
}

impl Actions {
    pub(super) fn new(inner: Arc<dyn Render>, err: Stream, files: Files, plain: bool, file: &str) -> Self {
        let page = Page { file: file.to_owned(), ..Page::default() };
        Self { inner, err, files, plain, state: Mutex::new(State { page, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, said: Vec<Said>) {
        for one in said {
            match one {
                Said::Command(command) => self.err.commands(&[command]),
                Said::Event(event) => self.inner.event(&event),
            }
        }
    }

    /// Writes the summary and the outputs.
    fn end(&self, state: &State, result: &ResultView) {
        let mut text = String::new();
        if state.page.plan.is_some() {
            // The failures are printed with the result.
            text += &markdown::plan(&Page { failures: Vec::new(), ..state.page.clone() });
            text.push('\n');
        }
        if !text.is_empty() || !state.environments.is_empty() || !state.page.failures.is_empty() {
            text += &markdown::result(&state.environments, &state.page.failures, result);
            self.append(self.files.summary.as_deref(), &text);
        }
        self.append(self.files.output.as_deref(), &outputs(state.page.plan.as_ref(), result));
    }

    fn append(&self, path: Option<&Utf8Path>, text: &str) {
        let Some(path) = path else { return };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            let message = format!("{path} of the workflow cannot be written: {error}");
            self.inner.event(&Event::Warning { environment: None, message });
        }
    }
}

/// Returns the outputs of the workflow's step. `changes` is left out if it is not known that there are none.
fn outputs(plan: Option<&PlanView>, result: &ResultView) -> String {
    let outputs = format!("outcome={}\nexit-code={}\n", result.outcome.name(), result.exit_code);
    match plan {
        Some(plan) if plan.steps.is_empty() && plan.is_incomplete() => outputs,
        plan => outputs + &format!("changes={}\n", plan.map_or(0, |plan| plan.steps.len())),
    }
}

impl Front for Actions {
    fn event(&self, event: &Event) {
        let mut state = self.state();
        match event {
            Event::Plan(plan) => {
                state.page.plan = Some(plan.clone());
                state.groups.plan(plan);
            }
            Event::Warning { environment, message } => {
                state.page.warnings.push((environment.clone(), message.clone()));
            }
            Event::Environment(view) => state.environments.push(view.as_ref().clone()),
            Event::Failure(failure) => state.page.failures.push(failure.clone()),
            _ => {}
        }
        if !self.plain {
            self.inner.event(event);
        } else if matches!(event, Event::Environment(_) | Event::Result(_)) {
            let waiting = state.groups.end();
            self.say(waiting);
            self.inner.event(event);
        } else {
            let now = state.groups.take(event);
            self.say(now);
        }
        match event {
            Event::Failure(failure) if self.plain => self.err.commands(&[github::failure(failure)]),
            Event::Result(result) => self.end(&state, result),
            _ => {}
        }
    }

    fn can_ask(&self) -> bool {
        self.inner.can_ask()
    }

    fn ask(&self, question: &str) -> Option<String> {
        self.inner.ask(question)
    }

    fn interrupt(&self) {
        self.inner.interrupt();
    }

    fn masks(&self) -> bool {
        true
    }

    fn hide(&self, environment: &str, secrets: &Arc<Redactor>) {
        let mut state = self.state();
        let mut unmasked = secrets.lines();
        unmasked.retain(|line| state.masked.insert(*blake3::hash(line.expose_secret().as_bytes()).as_bytes()));
        self.err.commands(&unmasked.iter().map(|line| github::mask(line.expose_secret())).collect::<Vec<_>>());
        drop(state);
        self.inner.hide(environment, secrets);
    }
}

impl Render for Actions {
    fn lost(&self) -> bool {
        self.inner.lost()
    }

    fn commands(&self, commands: &[Command]) {
        self.inner.commands(commands);
    }

    fn stop_commands(&self) -> Option<String> {
        let token = uuid::Uuid::new_v4().simple().to_string();
        self.err.commands(&[github::stop(&token)]);
        Some(token)
    }

    fn resume_commands(&self, token: &str) {
        self.err.commands(&[github::resume(token)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Action, Outcome, PlannedStep, StepReason, StepView};
    use crate::model::state::Kind;

    fn planned(environment: &str) -> PlannedStep {
        PlannedStep {
            environment: environment.to_owned(),
            kind: Kind::Access,
            action: Action::Create,
            reason: StepReason::Missing,
            destructive: false,
            changes: Vec::new(),
        }
    }

    fn step(environment: &str, state: StepState) -> Event {
        Event::Step(StepView { environment: environment.to_owned(), kind: Kind::Access, state, duration_ms: None })
    }

    fn words(said: Vec<Said>) -> Vec<String> {
        let word = |one| match one {
            Said::Command(command) => command.line().trim_end().to_owned(),
            Said::Event(event) => match *event {
                Event::Step(step) => format!("{} {:?}", step.environment, step.state),
                _ => "other".to_owned(),
            },
        };
        said.into_iter().map(word).collect()
    }

    #[test]
    fn a_plan_that_is_not_complete_has_no_count_of_zero_changes() {
        let result = ResultView { command: "plan", outcome: Outcome::Planned, exit_code: 0 };
        let complete = PlanView::default();
        let uncompared = [("web".to_owned(), vec!["key".to_owned()])].into();
        let incomplete = PlanView { uncompared, ..PlanView::default() };
        let both = PlanView { steps: vec![planned("a")], ..incomplete.clone() };
        let changes = |plan: &PlanView| outputs(Some(plan), &result).lines().nth(2).map(str::to_owned);
        assert_eq!(changes(&complete).as_deref(), Some("changes=0"));
        assert_eq!(changes(&incomplete), None);
        assert_eq!(changes(&both).as_deref(), Some("changes=1"));
    }

    #[test]
    fn groups_never_mix_and_nothing_is_lost() {
        use StepState::{Applied, Blocked, Failed, Started};
        let mut groups = Groups::default();
        let steps = vec![planned("a"), planned("b"), planned("b"), planned("c")];
        groups.plan(&PlanView { steps, ..PlanView::default() });
        let mut said = Vec::new();
        for event in [
            step("a", Started),
            step("b", Started),
            step("b", Applied),
            Event::Note("x".to_owned()),
            step("a", Failed),
            step("c", Started),
            step("b", Blocked),
        ] {
            said.extend(words(groups.take(&event)));
        }
        said.extend(words(groups.end()));
        assert_eq!(
            said,
            [
                "::group::a",
                "a Started",
                "other",
                "a Failed",
                "::endgroup::",
                "::group::b",
                "b Started",
                "b Applied",
                "b Blocked",
                "::endgroup::",
                "::group::c",
                "c Started",
                "::endgroup::"
            ]
        );
    }
}
