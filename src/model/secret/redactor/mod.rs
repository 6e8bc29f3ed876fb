//! Redaction of secret values in text that is about to be reported. This module does not know the sources of the
//! values.

use super::forms;
use crate::model::{bounded, defuse};
use aho_corasick::{AhoCorasick, MatchKind};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// Minimum length of a value that is hidden. Shorter values are too common to distinguish from other text.
const SHORTEST: usize = 4;
/// Replacement for a secret.
const HIDDEN: &str = "***";
/// Limit of a text that is part of the combined search. Longer texts are searched one by one.
const LONGEST: usize = 4 * 1024;
/// Limit, in bytes, of all texts in the combined search. Building the search takes about 40 times that memory.
const BUDGET: usize = 1 << 20;

/// Maximum number of left-out remarks in an honest text. A text with more is hidden as a whole.
const CUTS: usize = 100;

/// Redactor of secret values in all their forms. A redactor can learn more values while other tasks use it.
#[derive(Default)]
pub struct Redactor {
    known: RwLock<Arc<Known>>,
}

/// Secrets to search for. The values are wiped from memory when they are dropped; the search automaton is not.
#[derive(Default)]
struct Known {
    values: Vec<SecretString>,
    search: Option<AhoCorasick>,
    long: Vec<SecretString>,
    /// The first [`SHORTEST`] bytes of every form of every value. A text without any of them contains no cut secret
    /// before an ellipsis.
    beginnings: BTreeSet<Vec<u8>>,
}

impl Redactor {
    /// Returns a redactor of these secrets in all their forms, and of each line of a secret that has several lines.
    /// Values under four bytes are ignored.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let redactor = Self::default();
        redactor.learn(secrets);
        redactor
    }

    /// Adds secrets to hide.
    pub fn learn<'a>(&self, secrets: impl IntoIterator<Item = &'a SecretString>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut values: BTreeSet<String> = known.values.iter().map(|value| value.expose_secret().to_owned()).collect();
        let before = values.len();
        for secret in secrets {
            let whole = secret.expose_secret();
            let lines = whole.lines().map(str::trim).filter(|line| whole.contains('\n') && line.len() >= 2 * SHORTEST);
            values.extend(lines.chain([whole]).filter(|text| text.len() >= SHORTEST).map(str::to_owned));
        }
        if values.len() > before {
            *known = Arc::new(Known::of(&values));
        }
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns true if there is nothing to hide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known().values.is_empty()
    }

    /// Returns the secrets that have one line, for a log service that masks the values it is given. Nobody else may get
    /// these values.
    #[must_use]
    pub fn lines(&self) -> Vec<SecretString> {
        self.known().values.iter().filter(|value| !value.expose_secret().contains('\n')).cloned().collect()
    }

    /// Returns the text with `***` in place of every secret.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.redacted(text).unwrap_or_else(|| text.to_owned())
    }

    /// Returns the text with `***` in place of every secret, or `None` if the text contains no secret.
    #[must_use]
    pub fn redacted(&self, text: &str) -> Option<String> {
        let known = self.known();
        let mut spans = known.spans(text);
        // A service may have coloured a part of a secret, and the colours may be removed later.
        if let Some((seen, places)) = defuse::visible(text) {
            let hidden = known.spans(&seen).into_iter().map(|(start, end)| (places[start], places[end - 1] + 1));
            spans = merged(spans.into_iter().chain(hidden).collect());
        }
        if spans.is_empty() {
            return None;
        }
        let (mut out, mut from) = (String::with_capacity(text.len()), 0);
        for (start, end) in spans {
            out.push_str(&text[from..start]);
            out.push_str(HIDDEN);
            from = end;
        }
        out.push_str(&text[from..]);
        Some(out)
    }
}

impl Known {
    fn of(values: &BTreeSet<String>) -> Self {
        let mut long: Vec<SecretString> = Vec::new();
        let (mut texts, mut beginnings): (BTreeSet<String>, BTreeSet<Vec<u8>>) = Default::default();
        let mut budget = BUDGET;
        // The values themselves come first. If the budget is exhausted, only other forms are left out.
        let forms = values.iter().flat_map(|value| forms::of(value));
        for (text, is_value) in values.iter().cloned().map(|it| (it, true)).chain(forms.map(|it| (it, false))) {
            beginnings.extend(text.as_bytes().get(..SHORTEST).map(<[u8]>::to_vec));
            if text.len() <= LONGEST && text.len() <= budget {
                budget -= text.len();
                texts.insert(text);
            } else if is_value {
                long.push(text.into());
            }
        }
        // The search can always be built from the texts that fit into the budget.
        let search = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts).ok();
        if search.is_none() {
            long.extend(texts.into_iter().map(SecretString::from));
        }
        Self { values: values.iter().map(|value| value.as_str().into()).collect(), search, long, beginnings }
    }

    /// Returns the secret parts of a text in order. Overlapping parts are merged.
    fn spans(&self, text: &str) -> Vec<(usize, usize)> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        let searched = self.search.iter().flat_map(|search| search.find_overlapping_iter(text));
        // The matches are ordered by their ends.
        for found in searched {
            merge(&mut spans, (found.start(), found.end()));
        }
        let found = |value: &SecretString| {
            let value = value.expose_secret();
            text.match_indices(value).map(|(at, _)| (at, at + value.len())).collect::<Vec<_>>()
        };
        let long: Vec<_> = self.long.iter().flat_map(found).chain(self.cut(text)).collect();
        if long.is_empty() { spans } else { merged(spans.into_iter().chain(long).collect()) }
    }

    /// Returns the parts of secrets that were cut: before an ellipsis, and on both sides of a remark that a part of the
    /// text is left out.
    fn cut(&self, text: &str) -> Vec<(usize, usize)> {
        let cuts: Vec<_> = bounded::cuts(text).take(CUTS + 1).collect();
        if cuts.len() > CUTS {
            return vec![(0, text.len())];
        }
        let ellipses = text.match_indices('…').map(|(at, _)| at);
        let ends: Vec<_> = ellipses.chain(cuts.iter().map(|(end, _)| *end)).collect();
        let text = text.as_bytes();
        // Most texts with an ellipsis hold no secret: the forms of the values are not derived for those.
        let begins = || text.windows(SHORTEST).any(|part| self.beginnings.contains(part));
        if ends.is_empty() || (cuts.is_empty() && !begins()) {
            return Vec::new();
        }
        let values = self.values.iter().map(SecretString::expose_secret);
        let all = values.flat_map(|value| forms::of(value).into_iter().chain([value.to_owned()]));
        let mut spans = Vec::new();
        for secret in all.map(Zeroizing::new).filter(|secret| secret.len() >= SHORTEST) {
            let word = secret.as_bytes();
            let reversed: Zeroizing<Vec<u8>> = Zeroizing::new(word.iter().rev().copied().collect());
            // An honest text has many ellipses, but few after a part of a secret.
            let parts: BTreeSet<_> = word.windows(SHORTEST).collect();
            for &end in ends.iter().filter(|end| parts.contains(suffix(&text[..**end], SHORTEST))) {
                let before = overlap(suffix(&text[..end], word.len()).iter().copied(), word);
                spans.extend((before >= SHORTEST).then_some((end - before, end)));
            }
            for &(_, start) in &cuts {
                let near = &text[start..text.len().min(start + word.len())];
                let after = overlap(near.iter().rev().copied(), &reversed);
                spans.extend((after >= SHORTEST).then_some((start, start + after)));
            }
        }
        spans
    }
}

fn suffix(text: &[u8], length: usize) -> &[u8] {
    &text[text.len().saturating_sub(length)..]
}

/// Returns the length of the longest suffix of `text` that is a proper prefix of `word`. This length is the final state
/// of the Knuth–Morris–Pratt automaton for `word`.
fn overlap(text: impl Iterator<Item = u8>, word: &[u8]) -> usize {
    let mut borders = vec![0];
    let step = |borders: &[usize], mut state: usize, byte: u8| {
        loop {
            if state < word.len() && word[state] == byte {
                return state + 1;
            }
            if state == 0 {
                return 0;
            }
            state = borders[state - 1];
        }
    };
    for at in 1..word.len() {
        borders.push(step(&borders, borders[at - 1], word[at]));
    }
    let state = text.fold(0, |state, byte| step(&borders, state, byte));
    if state == word.len() { borders[state - 1] } else { state }
}

/// Returns the spans in order, with overlapping ones merged.
fn merged(mut all: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    all.sort_unstable_by_key(|(_, end)| *end);
    let mut spans = Vec::new();
    for span in all {
        merge(&mut spans, span);
    }
    spans
}

/// Adds a span that ends at or after the end of the last one.
fn merge(spans: &mut Vec<(usize, usize)>, (mut start, end): (usize, usize)) {
    while let Some((before, _)) = spans.pop_if(|(_, last)| *last > start) {
        start = start.min(before);
    }
    spans.push((start, end));
}

#[cfg(test)]
mod tests;
