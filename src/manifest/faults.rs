//! Collects all faults of a manifest, so that they are shown at once. The source text is masked: a report holds no
//! secret.

use super::written::Spot;
use crate::model::failure::{Failure, Location, Reason};
use std::sync::Arc;

/// A finding about a manifest that is not an error.
pub type Warning = (Option<Location>, String);

/// Failures and warnings of one manifest, in the order of discovery.
#[derive(Debug)]
pub struct Report {
    file: String,
    source: Arc<str>,
    environment: Option<String>,
    failures: Vec<(Spot, Failure)>,
    warnings: Vec<(Spot, Warning)>,
}

impl Report {
    /// Creates an empty report about `file`, whose masked text is `source`.
    pub fn new(file: &str, source: Arc<str>) -> Self {
        Self { file: file.to_owned(), source, environment: None, failures: Vec::new(), warnings: Vec::new() }
    }

    /// Sets the environment that the next findings concern, or none.
    pub fn concerning(&mut self, environment: Option<&str>) {
        self.environment = environment.map(ToOwned::to_owned);
    }

    /// Adds a fault at `spot`, with a hint for fixing it.
    pub fn fault(&mut self, spot: Spot, message: impl Into<String>, hint: impl Into<String>) {
        let mut failure = Failure::new(Reason::ManifestInvalid, message).hint(hint);
        failure.environment.clone_from(&self.environment);
        failure.location = self.location(spot);
        self.failures.push((spot, failure));
    }

    /// Adds a warning at `spot`.
    pub fn warn(&mut self, spot: Spot, message: impl Into<String>) {
        let location = self.location(spot);
        self.warnings.push((spot, (location, message.into())));
    }

    /// Returns the source text at `spot`.
    pub fn written(&self, spot: Spot) -> &str {
        let start = spot.start as usize;
        self.source.get(start..start.saturating_add(spot.length as usize)).unwrap_or_default()
    }

    /// Returns the masked text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the number of faults so far.
    pub fn count(&self) -> usize {
        self.failures.len()
    }

    /// Returns the location of `spot`, unless `spot` is nowhere.
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

    /// Returns failures and warnings in the file's order, each once: a fault in `defaults` is found in every
    /// environment.
    pub fn finish(mut self) -> (Vec<Failure>, Vec<Warning>) {
        self.failures.sort_by(|(a, one), (b, other)| {
            (a.line, a.column, one.message()).cmp(&(b.line, b.column, other.message()))
        });
        self.failures.dedup_by(|(later, repeated), (spot, first)| {
            let same = later == spot && repeated.message() == first.message() && spot.line > 0;
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
