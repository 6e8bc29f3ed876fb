//! Removes secrets from every event before it is rendered, so that the places where events are created need not do it.

use super::{Command, Render};
use crate::model::event::{Change, EnvironmentView, Event, Left, PlanView};
use crate::model::failure::Failure;
use crate::model::front::Front;
use crate::model::secret::Redactor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A renderer that passes events to `inner` without the known secrets.
pub(super) struct Hiding {
    inner: Arc<dyn Render>,
    /// Environment → its secrets.
    known: Mutex<BTreeMap<String, Arc<Redactor>>>,
}

impl Hiding {
    pub(super) fn new(inner: Arc<dyn Render>) -> Self {
        Self { inner, known: Mutex::default() }
    }

    fn redactors(&self) -> Vec<Arc<Redactor>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().filter(|redactor| !redactor.is_empty()).map(Arc::clone).collect()
    }
}

impl Front for Hiding {
    fn event(&self, event: &Event) {
        if self.redactors().is_empty() {
            return self.inner.event(event);
        }
        self.inner.event(&self.without_secrets(event.clone()));
    }

    fn without_secrets(&self, mut event: Event) -> Event {
        let redactors = self.redactors();
        texts(&mut event, &|text| {
            for redactor in &redactors {
                if let Some(redacted) = redactor.redacted(text) {
                    *text = redacted;
                }
            }
        });
        event
    }

    fn can_ask(&self) -> bool {
        self.inner.can_ask()
    }

    fn ask(&self, question: &str) -> Option<String> {
        let question = self.redactors().iter().fold(question.to_owned(), |text, redactor| redactor.redact(&text));
        self.inner.ask(&question)
    }

    fn interrupt(&self) {
        self.inner.interrupt();
    }

    fn masks(&self) -> bool {
        self.inner.masks()
    }

    fn hide(&self, environment: &str, secrets: &Arc<Redactor>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(environment.to_owned(), Arc::clone(secrets));
        self.inner.hide(environment, secrets);
    }
}

impl Render for Hiding {
    fn commands(&self, commands: &[Command]) {
        self.inner.commands(commands);
    }

    fn lost(&self) -> bool {
        self.inner.lost()
    }

    fn stop_commands(&self) -> Option<String> {
        self.inner.stop_commands()
    }

    fn resume_commands(&self, token: &str) {
        self.inner.resume_commands(token);
    }
}

/// A function that changes a text.
type Each<'a> = &'a dyn Fn(&mut String);

/// Applies a function to every text of an event except names, because scripts search for names.
fn texts(event: &mut Event, each: Each<'_>) {
    match event {
        Event::Progress { activity: text, .. }
        | Event::Warning { message: text, .. }
        | Event::Output(text)
        | Event::Said { text, .. }
        | Event::Note(text) => each(text),
        Event::Plan(plan) => of_plan(plan, each),
        Event::Environment(view) => of_environment(view, each),
        Event::Check(check) => each(&mut check.found),
        Event::Verdict(verdict) => each(&mut verdict.detail),
        Event::Release(release) => release.rejected.iter_mut().for_each(each),
        Event::Failure(failure) => of_failure(failure, each),
        Event::Watch(watch) => each(&mut watch.message),
        Event::Step(_) | Event::Run(_) | Event::Archive(_) | Event::Result(_) => {}
    }
}

fn of_plan(plan: &mut PlanView, each: Each<'_>) {
    plan.steps.iter_mut().for_each(|step| of_changes(&mut step.changes, each));
    of_left(&mut plan.left, each);
}

fn of_left(left: &mut [Left], each: Each<'_>) {
    for left in left {
        left.reason.iter_mut().for_each(each);
        of_changes(&mut left.changes, each);
    }
}

fn of_changes(changes: &mut [Change], each: Each<'_>) {
    for Change { from, to, diff, note, .. } in changes {
        [from, to, diff, note].into_iter().flatten().for_each(each);
    }
}

fn of_environment(view: &mut EnvironmentView, each: Each<'_>) {
    of_left(&mut view.left, each);
    view.failed.iter_mut().for_each(|failed| each(&mut failed.message));
    view.services.values_mut().for_each(each);
    let backup = view.backup.iter_mut().flat_map(|backup| [&mut backup.failed, &mut backup.after_failed]);
    backup.chain([&mut view.in_progress, &mut view.unreachable]).flatten().for_each(each);
}

fn of_failure(failure: &mut Failure, each: Each<'_>) {
    failure.each_text(each);
    if let Some(location) = &mut failure.location
        && let Some(source) = &location.source
    {
        let mut shown = source.to_string();
        each(&mut shown);
        // Without the secret, the location would be wrong: the file is named but not shown.
        location.source = location.source.take().filter(|source| **source == *shown);
    }
}

#[cfg(test)]
mod tests;
