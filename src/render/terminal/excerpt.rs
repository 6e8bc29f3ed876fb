//! Excerpt of a file around the place of a failure. The marker below the line is at the character, not at the byte.

use crate::model::defuse;
use crate::model::failure::Location;
use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// Lines shown before and after the location.
pub(super) const CONTEXT: usize = 2;
/// The longest excerpt that is shown (bytes).
const LONGEST: usize = 4096;

/// The lines around a location, so that a large file is not processed as a whole.
#[derive(Debug)]
pub(super) struct Excerpt {
    file: String,
    text: String,
    /// The number of lines before `text` in the file.
    above: usize,
    /// The byte range of the location in `text`.
    pub(super) span: std::ops::Range<usize>,
    /// The column of the location in characters, counted from 0.
    column: usize,
}

impl Excerpt {
    /// Returns the excerpt, or `None` if there is no text or too much.
    pub(super) fn around(location: &Location) -> Option<Self> {
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

/// Replaces active characters by question marks, and a carriage return at the end of a line by a space, without
/// changing byte offsets.
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

impl SourceCode for Excerpt {
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
