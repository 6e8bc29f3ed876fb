//! Gathers what is wrong with a manifest, so that all of it is said at once. Never holds the text of a
//! secret: its source is the masked text.

use super::written::Spot;
use crate::model::failure::{Failure, Location, Reason};
use std::sync::Arc;

/// Something to know about a manifest that is not an error.
pub type Warning = (Option<Location>, String);

/// Failures and warnings of one manifest, in the order they were found.
#[derive(Debug)]
pub struct Report {
    file: String,
    source: Arc<str>,
    environment: Option<String>,
    failures: Vec<(Spot, Failure)>,
    warnings: Vec<(Spot, Warning)>,
}

impl Report {
    /// An empty report about `file`, whose masked text is `source`.
    pub fn new(file: &str, source: Arc<str>) -> Self {
        Self { file: file.to_owned(), source, environment: None, failures: Vec::new(), warnings: Vec::new() }
    }

    /// What is found from now on concerns this environment, or none.
    pub fn concerning(&mut self, environment: Option<&str>) {
        self.environment = environment.map(ToOwned::to_owned);
    }

    /// Says that something is wrong at `spot`, and what to do about it.
    pub fn fault(&mut self, spot: Spot, message: impl Into<String>, hint: impl Into<String>) {
        let mut failure = Failure::new(Reason::ManifestInvalid, message).hint(hint);
        failure.environment.clone_from(&self.environment);
        failure.location = self.location(spot);
        self.failures.push((spot, failure));
    }

    /// Says something to know about `spot`.
    pub fn warn(&mut self, spot: Spot, message: impl Into<String>) {
        let location = self.location(spot);
        self.warnings.push((spot, (location, message.into())));
    }

    /// The text between the bytes of `spot`, as it stands in the file.
    pub fn written(&self, spot: Spot) -> &str {
        let start = spot.start as usize;
        self.source.get(start..start.saturating_add(spot.length as usize)).unwrap_or_default()
    }

    /// The masked text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How many faults were found so far.
    pub fn count(&self) -> usize {
        self.failures.len()
    }

    /// The place of `spot`, if it is one.
    pub fn location(&self, spot: Spot) -> Option<Location> {
        (spot.line > 0).then(|| {
            let start = spot.start as usize;
            let end = start.saturating_add(spot.length as usize);
            Location {
                file: self.file.clone(),
                line: spot.line as usize,
                column: spot.column as usize,
                span: self.source.get(start..end).is_some().then_some(start..end),
                source: Some(Arc::clone(&self.source)),
            }
        })
    }

    /// Everything in the file's order, each thing once: a fault in `defaults` shows in every environment.
    pub fn finish(mut self) -> (Vec<Failure>, Vec<Warning>) {
        self.failures
            .sort_by(|(a, one), (b, other)| (a.line, a.column, &one.message).cmp(&(b.line, b.column, &other.message)));
        self.failures.dedup_by(|(later, repeated), (spot, first)| {
            let same = later == spot && repeated.message == first.message && spot.line > 0;
            if same && repeated.environment != first.environment {
                first.environment = None;
            }
            same
        });
        self.warnings.sort_by_key(|(spot, _)| *spot);
        self.warnings.dedup_by(|(later, (_, repeated)), (spot, (_, first))| later == spot && repeated == first);
        (
            self.failures.into_iter().map(|(_, failure)| failure).collect(),
            self.warnings.into_iter().map(|(_, warning)| warning).collect(),
        )
    }
}
