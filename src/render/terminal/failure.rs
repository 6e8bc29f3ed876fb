//! Failures and warnings as text, with an excerpt of the file if there is a location.

use super::Look;
use super::excerpt::{CONTEXT, Excerpt};
use crate::model::defuse;
use crate::model::failure::Failure;
use crate::render::text;
use anstyle::{AnsiColor, Style};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use std::fmt::{self, Write};

pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
const BLUE: Style = AnsiColor::Cyan.on_default();

/// Returns a failure as a report with an excerpt of the file, otherwise as a few lines.
pub(super) fn text(failure: &Failure, look: Look) -> String {
    match failure.location.as_ref().and_then(Excerpt::around) {
        Some(excerpt) => report(failure, excerpt, look).unwrap_or_else(|_| lines(failure, look)),
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

fn report(failure: &Failure, excerpt: Excerpt, look: Look) -> Result<String, fmt::Error> {
    let theme = if look.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let report = Report {
        message: defuse::controls(&failure.message()).into_owned(),
        code: failure.reason.code(),
        help: defuse::controls(&failure.advice()).into_owned(),
        excerpt,
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
    excerpt: Excerpt,
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
        Some(&self.excerpt)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.excerpt.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new(None, span.start, span.len()))))
    }
}
