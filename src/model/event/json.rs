//! The JSON line of an event, version 1 of the contract in `schemas/events.schema.json`: what `--json` prints, what the
//! history records, and what a watch serves.

use crate::model::defuse;
use crate::model::event::Event;
use crate::model::failure::Failure;
use crate::model::state::Kind;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use std::borrow::Cow;
use std::io::{self, Write};

const VERSION: u8 = 1;

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
    message: String,
    hint: Cow<'a, str>,
    location: Option<Place<'a>>,
    details: Option<&'a str>,
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
}

/// Returns one event as its line, without the line break.
#[must_use]
pub fn line(event: &Event) -> String {
    let mut line = Vec::new();
    // This cannot fail: an event contains only strings, numbers and maps with string keys.
    let _ = write(&Object(event), &mut line);
    String::from_utf8(line).unwrap_or_default()
}

/// Writes a value as JSON on one line while it is serialized, because a plan may be long.
pub(crate) fn write(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    Ok(value.serialize(&mut serde_json::Serializer::with_formatter(out, Defused))?)
}

/// A JSON formatter that escapes every character that the reader of a log acts on, by its number.
struct Defused;

impl Formatter for Defused {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut written = 0;
        for (at, c) in fragment.char_indices() {
            // `[` ends the name of a command of the form `##[name]` or `##vso[name]`.
            let ends = c == '[' && fragment[..at].trim_end_matches(|c: char| c.is_ascii_alphanumeric()).ends_with("##");
            if ends || defuse::is_active(c, 'a') {
                out.write_all(&fragment.as_bytes()[written..at])?;
                c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
                written = at + c.len_utf8();
            }
        }
        out.write_all(&fragment.as_bytes()[written..])
    }
}

/// An event as an object.
pub(crate) struct Object<'a>(pub(crate) &'a Event);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        fn of<S: Serializer>(r#type: &str, body: impl Serialize, to: S) -> Result<S::Ok, S::Error> {
            Line { version: VERSION, r#type, body }.serialize(to)
        }
        match self.0 {
            Event::Progress { environment, kind, activity } => {
                of("progress", Progress { environment, kind: *kind, activity }, to)
            }
            Event::Plan(plan) => of("plan", plan, to),
            Event::Step(step) => of("step", step, to),
            Event::Environment(environment) => of("environment", environment, to),
            Event::Check(check) => of("check", check, to),
            Event::Verdict(verdict) => of("verdict", verdict, to),
            Event::Run(run) => of("run", run, to),
            Event::Release(release) => of("release", release, to),
            Event::Archive(archive) => of("archive", archive, to),
            Event::Failure(failure) => of("error", error(failure), to),
            Event::Warning { environment, message } => {
                of("warning", Warning { environment: environment.as_deref(), message }, to)
            }
            Event::Output(text) | Event::Said { text, .. } => of("output", Text { text }, to),
            Event::Note(text) => of("note", Text { text }, to),
            Event::Watch(watch) => of("watch", watch, to),
            Event::Result(result) => of("result", result, to),
        }
    }
}

fn error(failure: &Failure) -> Error<'_> {
    Error {
        reason: failure.reason.code(),
        environment: failure.environment.as_deref(),
        message: failure.message(),
        hint: failure.advice(),
        location: failure.location.as_ref().map(|location| Place {
            file: &location.file,
            line: location.line,
            column: location.column,
        }),
        details: failure.details.as_deref(),
    }
}
