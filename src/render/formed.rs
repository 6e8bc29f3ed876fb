//! Results of a command in a form other than text: a plan as Markdown for a comment or as annotations of a workflow,
//! checks as a report. All other output stays unchanged.

use super::github::{self, Command};
use super::markdown::{self, Page};
use super::{Render, junit};
use crate::model::event::{CheckView, Event, VerdictView};
use crate::model::front::Front;
use std::sync::{Arc, Mutex, PoisonError};

/// The form of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Markdown,
    Junit,
    Github,
}

/// A renderer that puts plans, checks and failures into a form and passes every other event on unchanged.
pub(super) struct Formed {
    inner: Arc<dyn Render>,
    form: Form,
    /// The data of a page or a report, which is printed at the end.
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    page: Page,
    checks: Vec<CheckView>,
    verdicts: Vec<VerdictView>,
}

impl Formed {
    /// Creates the renderer. `file` is the manifest as the user named it.
    pub(super) fn new(inner: Arc<dyn Render>, form: Form, file: &str) -> Self {
        let page = Page { file: file.to_owned(), ..Page::default() };
        Self { inner, form, held: Mutex::new(Held { page, ..Held::default() }) }
    }

    fn annotations(&self, event: &Event) {
        let commands = match event {
            Event::Plan(plan) => github::plan(plan),
            Event::Failure(failure) => vec![github::failure(failure)],
            Event::Warning { environment, message } => vec![github::warning(environment.as_deref(), message)],
            other => return self.inner.event(other),
        };
        self.inner.commands(&commands);
    }

    fn page(&self, event: &Event) {
        let page = &mut self.held.lock().unwrap_or_else(PoisonError::into_inner).page;
        match event {
            Event::Plan(plan) => page.plan = Some(plan.clone()),
            Event::Failure(failure) => {
                page.failures.push(failure.clone());
                self.inner.event(event);
            }
            Event::Warning { environment, message } => {
                page.warnings.push((environment.clone(), message.clone()));
                self.inner.event(event);
            }
            Event::Result(_) => {
                self.inner.event(&Event::Output(markdown::plan(page)));
                self.inner.event(event);
            }
            _ => self.inner.event(event),
        }
    }

    fn report(&self, event: &Event) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Check(check) => held.checks.push(check.clone()),
            Event::Verdict(verdict) => held.verdicts.push(verdict.clone()),
            Event::Failure(failure) => {
                held.page.failures.push(failure.clone());
                self.inner.event(event);
            }
            Event::Result(_) => {
                let text = junit::text(&held.checks, &held.verdicts, &held.page.failures);
                self.inner.event(&Event::Output(text));
                self.inner.event(event);
            }
            _ => self.inner.event(event),
        }
    }
}

impl Front for Formed {
    fn event(&self, event: &Event) {
        match self.form {
            Form::Markdown => self.page(event),
            Form::Junit => self.report(event),
            Form::Github => self.annotations(event),
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
}

impl Render for Formed {
    fn commands(&self, commands: &[Command]) {
        self.inner.commands(commands);
    }

    fn lost(&self) -> bool {
        self.inner.lost()
    }
}
