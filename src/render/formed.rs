//! A plan and what failed in another form than text: Markdown for a comment, annotations of a workflow. Never changes
//! what is said besides.

use super::{Render, github, markdown};
use crate::event::{Event, PlanView};
use crate::failure::Failure;
use std::sync::{Arc, Mutex, PoisonError};

/// The form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Markdown,
    Github,
}

/// Puts plans and failures into a form; everything else goes on as it is.
pub(super) struct Formed {
    inner: Arc<dyn Render>,
    form: Form,
    /// What a page is made of, which is printed at the end.
    page: Mutex<(Option<PlanView>, Vec<Failure>)>,
}

impl Formed {
    pub(super) fn new(inner: Arc<dyn Render>, form: Form) -> Self {
        Self { inner, form, page: Mutex::new((None, Vec::new())) }
    }

    fn annotations(&self, event: &Event) {
        let text = match event {
            Event::Plan(plan) => github::plan(plan),
            Event::Failure(failure) => github::failure(failure),
            Event::Warning { environment, message } => github::warning(environment.as_deref(), message),
            other => return self.inner.event(other),
        };
        self.inner.event(&Event::Output(text));
    }

    fn page(&self, event: &Event) {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Plan(plan) => page.0 = Some(plan.clone()),
            Event::Failure(failure) => {
                page.1.push(failure.clone());
                self.inner.event(event);
            }
            Event::Result(_) => {
                self.inner.event(&Event::Output(markdown::plan(page.0.as_ref(), &page.1)));
                self.inner.event(event);
            }
            _ => self.inner.event(event),
        }
    }
}

impl Render for Formed {
    fn event(&self, event: &Event) {
        match self.form {
            Form::Markdown => self.page(event),
            Form::Github => self.annotations(event),
        }
    }

    fn can_ask(&self) -> bool {
        self.inner.can_ask()
    }

    fn ask(&self, question: &str) -> Option<String> {
        self.inner.ask(question)
    }

    fn lost(&self) -> bool {
        self.inner.lost()
    }
}
