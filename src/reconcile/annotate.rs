//! Adds to a step the details that a reader needs before it runs: diffs of changed files and the services that they
//! restart. Does not show the content of secrets.

use crate::model::event::{Change, PlannedStep};
use crate::model::failure::Failure;
use crate::model::shell::engine::UNKNOWN;
use crate::model::state::Kind;
use crate::reconcile::session::Session;
use crate::release::image_name::familiar;
use crate::release::sent::File;
use crate::resource::contract::record::ServiceRecord;
use crate::resource::services;
use camino::{Utf8Path, Utf8PathBuf};
use similar::TextDiff;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The largest text of a host's file that is diffed (bytes).
const LIMIT: u64 = 64 << 10;
/// The largest diff that is shown whole (bytes).
const LONGEST: usize = 64 << 10;
/// The most bytes of new files that the plan of one environment shows.
const NEW: usize = 1 << 20;
/// The note at a new file that is not shown, because the plan already shows [`NEW`] bytes of new files.
const TOO_MANY: &str = "its content is not shown: there are too many new files";
/// The note at a file whose content changes and is not shown.
pub const UNSHOWN: &str = "its content is not shown: it is too large, or not text";
/// The time limit of the search for the shortest diff; after it, a longer diff is used.
const PATIENCE: Duration = Duration::from_millis(200);

/// Adds diffs and notes to a step that changes files. Asks the host once for the content of the files.
pub async fn annotate(session: &Session, step: &mut PlannedStep) -> Result<(), Failure> {
    let changes = &mut step.changes;
    match step.kind {
        Kind::Firewall => crate::resource::firewall::remark(&session.prepared.subject(), session.facts(), changes),
        Kind::Engine => crate::resource::engine::remark(&session.prepared.subject(), session.facts(), changes),
        Kind::Services => {
            crate::resource::engine::remark(&session.prepared.subject(), session.facts(), changes);
            services::remark(&session.prepared.subject(), session.facts(), changes);
        }
        _ => {}
    }
    if step.kind == Kind::Images {
        let users = services::records::of(&session.prepared.subject(), session.facts());
        let mut by_image = BTreeMap::<String, Vec<&str>>::new();
        for (name, service) in &users {
            by_image.entry(familiar(&service.image)).or_default().push(name);
        }
        let is_known = |change: &&mut Change| change.from.as_deref().is_some_and(|from| from != UNKNOWN);
        for change in step.changes.iter_mut().filter(is_known) {
            change.note = by_image.get(&change.fact).map(|names| format!("restarts {}", names.join(", ")));
        }
    }
    let Some(release) = session.prepared.release.as_ref().filter(|_| step.kind == Kind::Files) else { return Ok(()) };
    let subject = session.prepared.subject();
    let file = |change: &Change| release.files.get(Utf8Path::new(&change.fact));
    let asked: Vec<Utf8PathBuf> = step
        .changes
        .iter()
        .filter(|change| change.from.as_deref().is_some_and(|from| !secret(from)))
        .filter(|change| file(change).is_none_or(|file| !file.secret && !file.seed))
        .map(|change| Utf8PathBuf::from(&change.fact))
        .collect();
    let live = session.contents(&asked).await?;
    let records = services::records::of(&subject, session.facts());
    let readers = (!records.is_empty()).then(|| readers(&records));
    let mut room = Room::default();
    for change in &mut step.changes {
        let file = file(change);
        let hidden = change.from.as_deref().is_some_and(secret) || file.is_some_and(|file| file.secret);
        let note = note(Utf8Path::new(&change.fact), hidden, readers.as_ref(), &release.compose_files);
        let unshown = if hidden {
            None
        } else if let Some(file) = file.filter(|_| change.from.is_none()) {
            room.show(change, text(file).as_deref())
        } else {
            let texts = texts(Utf8Path::new(&change.fact), &live, file);
            let is_file = change.from.as_ref().is_some_and(|from| from.contains(" sha256:"));
            let is_unshown = texts.is_none() && is_file && file.is_some_and(|file| !file.seed);
            change.diff = texts.filter(|(old, new)| old != new).map(|(old, new)| unified(old, &new));
            is_unshown.then_some(UNSHOWN)
        };
        change.note = joined([unshown.map(str::to_owned), note]);
    }
    Ok(())
}

/// Number of bytes of new files that a plan can still show.
pub struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(NEW)
    }
}

impl Room {
    /// Gives a new file its content as a diff, and returns the note about a content that is not shown. `text` is `None`
    /// if the content is too large or not text.
    pub fn show(&mut self, change: &mut Change, text: Option<&str>) -> Option<&'static str> {
        let Some(text) = text else { return Some(UNSHOWN) };
        let Some(left) = self.0.checked_sub(text.len()) else { return Some(TOO_MANY) };
        self.0 = left;
        change.diff = Some(unified("", text)).filter(|diff| !diff.is_empty());
        None
    }
}

/// Returns the notes about one change as one text, or `None` if there are none.
pub fn joined(notes: [Option<String>; 2]) -> Option<String> {
    notes.into_iter().flatten().reduce(|one, other| format!("{one}; {other}"))
}

fn secret(value: &str) -> bool {
    value.contains(" keyed:")
}

/// The services that read each file.
type Readers<'a> = BTreeMap<&'a Utf8Path, BTreeSet<&'a str>>;

/// Maps each file to its readers. Looks at each service once, however many files change.
fn readers(records: &BTreeMap<String, ServiceRecord>) -> Readers<'_> {
    let mut readers = Readers::new();
    for (name, service) in records {
        for path in &service.reads {
            readers.entry(path).or_default().insert(name);
        }
    }
    readers
}

fn note(path: &Utf8Path, hidden: bool, readers: Option<&Readers<'_>>, compose_files: &[String]) -> Option<String> {
    let names: Vec<&str> = readers.and_then(|readers| readers.get(path)).into_iter().flatten().copied().collect();
    let mut notes = Vec::new();
    if hidden {
        notes.push("secret, changed".to_owned());
    }
    if !names.is_empty() {
        notes.push(format!("restarts {}", names.join(", ")));
    } else if readers.is_some() && (path == ".env" || compose_files.iter().any(|file| path == file.as_str())) {
        notes.push("may restart services".to_owned());
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Returns the text on the host and the new text, if both can be diffed.
fn texts<'a>(
    path: &Utf8Path,
    live: &'a BTreeMap<Utf8PathBuf, String>,
    file: Option<&File>,
) -> Option<(&'a str, String)> {
    let new = file.map_or(Some(String::new()), text)?;
    Some((live.get(path)?, new))
}

/// Returns the unified diff of two texts. A long diff ends with the number of lines that are missing.
#[must_use]
pub fn unified(old: &str, new: &str) -> String {
    let diff =
        TextDiff::configure().timeout(PATIENCE).diff_lines(old, new).unified_diff().context_radius(2).to_string();
    if diff.len() <= LONGEST {
        return diff;
    }
    let lines = diff.split_inclusive('\n').scan(0, |length, line| {
        *length += line.len();
        (*length <= LONGEST).then_some(line)
    });
    let shown: String = lines.collect();
    let more = diff[shown.len()..].lines().count();
    format!("{shown}… {more} more lines of this diff are not shown\n")
}

/// Returns a file's content if it is text and small enough to be diffed. The content may be a secret.
#[must_use]
pub fn text(file: &File) -> Option<String> {
    text_within(file, LIMIT)
}

/// Returns a file's content if it is text of at most `limit` bytes. The content may be a secret.
#[must_use]
pub fn text_within(file: &File, limit: u64) -> Option<String> {
    String::from_utf8(file.read(limit).ok()?).ok()
}
