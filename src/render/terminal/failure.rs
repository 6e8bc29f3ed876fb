//! Failures and warnings as text, with an excerpt of the file if there is a location. Prints only the lines around that
//! location.

use super::Look;
use crate::model::defuse;
use crate::model::failure::{Failure, Location};
use crate::render::text;
use anstyle::{AnsiColor, Style};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};
use std::fmt::{self, Write};

/// Lines shown before and after the location.
const CONTEXT: usize = 2;
/// The longest excerpt that is shown (bytes).
const LONGEST: usize = 4096;
pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
const BLUE: Style = AnsiColor::Cyan.on_default();

/// Returns a failure as a report with an excerpt of the file, otherwise as a few lines.
pub(super) fn text(failure: &Failure, look: Look) -> String {
    match failure.location.as_ref().and_then(Snippet::around) {
        Some(snippet) => report(failure, snippet, look).unwrap_or_else(|_| lines(failure, look)),
        None => lines(failure, look),
    }
}

/// Returns a warning on one line.
pub(super) fn warning(environment: Option<&str>, message: &str, look: Look) -> String {
    let word = look.paint(AnsiColor::Yellow.on_default().bold(), "warning:");
    let on = environment.map(|environment| format!(" {}:", defuse::line(environment))).unwrap_or_default();
    format!("{word}{on} {}\n", defuse::controls(message))
}

fn lines(failure: &Failure, look: Look) -> String {
    let mut out = format!("{} {}\n", look.paint(RED, "error:"), defuse::controls(&failure.message()));
    let mut field = |name: &str, value: &str| {
        let value = text::indent(&defuse::controls(value), 4);
        let _ = writeln!(out, "  {} {}", look.paint(BLUE, &format!("{name}:")), value.trim());
    };
    if let Some(environment) = &failure.environment {
        field("on", environment);
    }
    if let Some(place) = &failure.location {
        field("at", &format!("{}:{}:{}", place.file, place.line, place.column));
    }
    field("hint", &failure.advice());
    out + &details(failure)
}

fn details(failure: &Failure) -> String {
    let details = failure.details.as_deref().unwrap_or_default();
    text::indent(defuse::controls(details).trim_end(), 4)
}

fn report(failure: &Failure, snippet: Snippet, look: Look) -> Result<String, fmt::Error> {
    let theme = if look.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let report = Report {
        message: defuse::controls(&failure.message()).into_owned(),
        code: failure.reason.code(),
        help: defuse::controls(&failure.advice()).into_owned(),
        snippet,
    };
    let mut out = String::new();
    let mut handler = GraphicalReportHandler::new_themed(theme)
        .with_width(look.width.unwrap_or(80).clamp(40, 120))
        .with_context_lines(CONTEXT)
        .with_links(false);
    if let Some(environment) = &failure.environment {
        handler = handler.with_footer(format!("on: {}", defuse::line(environment)));
    }
    handler.render_report(&mut out, &report)?;
    Ok(out + &details(failure))
}

/// The data of a failure for miette.
#[derive(Debug)]
struct Report {
    message: String,
    code: &'static str,
    help: String,
    snippet: Snippet,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.snippet)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.snippet.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new(None, span.start, span.len()))))
    }
}

/// An excerpt of the lines around a location, so that a large file is not processed as a whole.
#[derive(Debug)]
struct Snippet {
    file: String,
    text: String,
    /// The number of lines before `text` in the file.
    above: usize,
    /// The byte range of the location in `text`.
    span: std::ops::Range<usize>,
    /// The column of the location in characters, counted from 0.
    column: usize,
}

impl Snippet {
    /// Returns the excerpt, or `None` if there is no text or too much.
    fn around(location: &Location) -> Option<Self> {
        let source = location.source.as_deref()?;
        let at = match &location.span {
            Some(span) => span.clone(),
            None => position(source, location)?,
        };
        let start = at.start.min(source.len());
        let at = start..at.end.clamp(start, source.len());
        let (before, after) = (source.get(..at.start)?, source.get(at.end..)?);
        let first = before.rmatch_indices('\n').nth(CONTEXT).map_or(0, |(newline, _)| newline + 1);
        let last = after.match_indices('\n').nth(CONTEXT).map_or(source.len(), |(newline, _)| at.end + newline + 1);
        let piece = source.get(first..last).filter(|piece| piece.len() <= LONGEST)?;
        Some(Self {
            file: defuse::line(&location.file),
            text: quiet(piece),
            above: location.line.checked_sub(1 + source.get(first..at.start)?.matches('\n').count())?,
            span: at.start - first..at.end - first,
            column: location.column.saturating_sub(1),
        })
    }
}

/// Returns the byte range of a line and a column.
fn position(source: &str, location: &Location) -> Option<std::ops::Range<usize>> {
    let start = match location.line.checked_sub(2) {
        Some(line) => source.match_indices('\n').nth(line)?.0 + 1,
        None => 0,
    };
    let line = source[start..].lines().next().unwrap_or_default();
    let (offset, c) = line.char_indices().nth(location.column.saturating_sub(1)).unwrap_or((line.len(), '\n'));
    let end = if c == '\n' { offset } else { offset + c.len_utf8() };
    Some(start + offset..start + end)
}

/// Replaces active characters by question marks, and a carriage return at the end of a line by a space, without changing
/// byte offsets.
fn quiet(piece: &str) -> String {
    let (mut out, mut before) = (String::with_capacity(piece.len()), '\n');
    let mut characters = piece.chars().peekable();
    while let Some(c) = characters.next() {
        let c = if c == '\r' && characters.peek() == Some(&'\n') { ' ' } else { c };
        let active = defuse::is_active(c, before);
        before = if active { '?' } else { c };
        out.extend(std::iter::repeat_n(before, if active { c.len_utf8() } else { 1 }));
    }
    out
}

impl SourceCode for Snippet {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.as_str().read_span(span, before, after)?;
        // The call without context asks for the place of the label, whose column miette counts in bytes.
        let column = if before == 0 && after == 0 { self.column } else { inner.column() };
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.clone(),
            inner.data(),
            *inner.span(),
            inner.line() + self.above,
            column,
            inner.line_count(),
        )))
    }
}
