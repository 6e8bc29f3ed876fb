//! Events as JSON lines, version 1 of the contract in `schemas/events.schema.json`. Never prompts and
//! never writes to standard error.

use super::{Render, stream::Stream};
use crate::event::Event;
use crate::failure::Failure;
use serde::Serialize;

const VERSION: u8 = 1;

/// Prints one JSON object a line.
pub(super) struct Json {
    out: Stream,
}

impl Json {
    pub(super) const fn new(out: Stream) -> Self {
        Self { out }
    }
}

impl Render for Json {
    fn event(&self, event: &Event) {
        self.out.write(&(line(event) + "\n"));
    }

    fn can_ask(&self) -> bool {
        false
    }

    fn ask(&self, _question: &str) -> Option<String> {
        None
    }

    fn lost(&self) -> bool {
        self.out.lost()
    }
}

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    version: u8,
    r#type: &'a str,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct Progress<'a> {
    environment: &'a str,
    activity: &'a str,
}

#[derive(Serialize)]
struct Warning<'a> {
    environment: Option<&'a str>,
    message: &'a str,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Error<'a> {
    reason: &'a str,
    environment: Option<&'a str>,
    message: &'a str,
    hint: &'a str,
    location: Option<Place<'a>>,
    details: Option<&'a str>,
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
}

/// One event as its line, without the line break.
#[must_use]
pub fn line(event: &Event) -> String {
    match event {
        Event::Progress { environment, activity } => object("progress", Progress { environment, activity }),
        Event::Plan(plan) => object("plan", plan),
        Event::Step(step) => object("step", step),
        Event::Environment(environment) => object("environment", environment),
        Event::Check(check) => object("check", check),
        Event::Verdict(verdict) => object("verdict", verdict),
        Event::Run(run) => object("run", run),
        Event::Release(release) => object("release", release),
        Event::Failure(failure) => object("error", error(failure)),
        Event::Warning { environment, message } => {
            object("warning", Warning { environment: environment.as_deref(), message })
        }
        Event::Output(text) => object("output", Text { text }),
        Event::Note(text) => object("note", Text { text }),
        Event::Watch(watch) => object("watch", watch),
        Event::Result(result) => object("result", result),
    }
}

fn object(r#type: &str, body: impl Serialize) -> String {
    // Strings, numbers and maps with string keys: there is nothing in an event that could fail.
    serde_json::to_string(&Line { version: VERSION, r#type, body }).unwrap_or_default()
}

fn error(failure: &Failure) -> Error<'_> {
    Error {
        reason: failure.reason.code(),
        environment: failure.environment.as_deref(),
        message: &failure.message,
        hint: failure.advice(),
        location: failure.location.as_ref().map(|location| Place {
            file: &location.file,
            line: location.line,
            column: location.column,
        }),
        details: failure.details.as_deref(),
    }
}
