//! Events as JSON lines, version 1 of the contract in `schemas/events.schema.json`. Never prompts and
//! never writes to standard error.

use super::{Render, stream::Stream};
use crate::event::Event;
use crate::failure::Failure;
use crate::state::Kind;
use serde::Serialize;
use std::io::{self, Write};

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
        self.out.write_as(|out| {
            write(event, &mut *out)?;
            out.write_all(b"\n")
        });
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
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
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
    let mut line = Vec::new();
    // Strings, numbers and maps with string keys: there is nothing in an event that could fail.
    let _ = write(event, &mut line);
    String::from_utf8(line).unwrap_or_default()
}

/// The same, written as it is made: that of a plan may be long.
fn write(event: &Event, out: &mut dyn Write) -> io::Result<()> {
    let mut object = Object(out);
    match event {
        Event::Progress { environment, kind, activity } => {
            object.of("progress", Progress { environment, kind: *kind, activity })
        }
        Event::Plan(plan) => object.of("plan", plan),
        Event::Step(step) => object.of("step", step),
        Event::Environment(environment) => object.of("environment", environment),
        Event::Check(check) => object.of("check", check),
        Event::Verdict(verdict) => object.of("verdict", verdict),
        Event::Run(run) => object.of("run", run),
        Event::Release(release) => object.of("release", release),
        Event::Archive(archive) => object.of("archive", archive),
        Event::Failure(failure) => object.of("error", error(failure)),
        Event::Warning { environment, message } => {
            object.of("warning", Warning { environment: environment.as_deref(), message })
        }
        Event::Output(text) => object.of("output", Text { text }),
        Event::Note(text) => object.of("note", Text { text }),
        Event::Watch(watch) => object.of("watch", watch),
        Event::Result(result) => object.of("result", result),
    }
}

/// Where one object goes.
struct Object<'a>(&'a mut dyn Write);

impl Object<'_> {
    fn of(&mut self, r#type: &str, body: impl Serialize) -> io::Result<()> {
        Ok(serde_json::to_writer(&mut self.0, &Line { version: VERSION, r#type, body })?)
    }
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
