//! `deployer plan --against REF`: compares two versions of the manifest and of the files that they send. Contacts no
//! host, opens no store, reads only files that Git tracks, and resolves no value.

use super::{self as compare, Repository, Snapshot, Unread, Version};
use crate::manifest::Manifest;
use crate::model::ending::Ending;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// The maximum number of files that a warning names.
const NAMED: usize = 5;

/// Compares the versions and prints the plan.
pub async fn plan(context: &Context, names: &[String], reference: &str) -> Result<Ending, Vec<Failure>> {
    if context.file == "-" {
        let message = "A manifest from standard input cannot be compared with a commit";
        return Err(vec![Failure::new(Reason::Usage, message).hint("Name the file with -f")]);
    }
    let one = |failure: Failure| vec![failure];
    let file = context.directory.join(&context.file);
    let (repository, path) = Repository::find(&file, &context.directory).await.map_err(one)?;
    let (new, notes) = present(context, &repository, &path).await?;
    let wanted = select(&new.manifest, names)?;
    let tree = repository.commit(reference).await.map_err(one)?;
    let old = earlier(context, reference, Snapshot::new(&repository, tree, "old"), &path).await.map_err(one)?;
    for note in notes {
        warn(context, note);
    }
    if let Some(Version { manifest: old, .. }) = &old {
        let gone = |name: &&_| names.is_empty() && !new.manifest.environments.contains_key(*name);
        for name in old.environments.keys().filter(gone) {
            let message = "is no longer in the manifest; apply does not change its host".to_owned();
            context.say(Event::Warning { environment: Some(name.to_string()), message });
        }
    }
    let mut compared = compare::compare(old, new, &wanted, (&repository.top, reference)).await;
    compared.view.against = Some(reference.to_owned());
    for (environment, failure) in compared.unreadable {
        let message =
            format!("cannot be rendered as of {reference}, so everything is shown as new: {}", failure.message());
        context.say(Event::Warning { environment: Some(environment), message });
    }
    for (path, why) in &compared.gaps {
        warn(context, format!("{path}: {why}"));
    }
    for failure in &compared.failures {
        context.say(Event::Failure(failure.clone()));
    }
    let outcome = compared.view.outcome();
    let others = compared.failures.len() < wanted.len();
    context.say(Event::Plan(compared.view));
    Ok(if compared.failures.is_empty() { Ending::ok(outcome) } else { Ending::of(&compared.failures, others) })
}

fn warn(context: &Context, message: String) {
    context.say(Event::Warning { environment: None, message });
}

/// Reads the manifest and the tracked files in their current version. Also returns warnings about files whose content
/// is not the committed one.
async fn present<'a>(
    context: &Context,
    repository: &'a Repository,
    path: &Utf8Path,
) -> Result<(Version<'a>, Vec<String>), Vec<Failure>> {
    let one = |failure: Failure| vec![failure];
    let snapshot = Snapshot::of_disk(repository, "new").await.map_err(one)?;
    let read = Version::read(snapshot, path, context.file.as_str()).await;
    let version = read.map_err(|unread| match unread {
        Unread::Failed(failure) => one(failure),
        Unread::Invalid(failures) => failures,
        Unread::Absent(why) => one(absent(context, why)),
    })?;
    let mut notes = Vec::new();
    let changed = version.snapshot.uncommitted().await.map_err(one)?;
    if !changed.is_empty() {
        notes.push(format!("{}: {}", counted(changed.len()), named(&changed)));
    }
    let directories = version.directories();
    let below: Vec<&Utf8Path> = directories.iter().map(Utf8PathBuf::as_path).collect();
    let untracked = if below.is_empty() { BTreeSet::new() } else { repository.untracked(&below).await.map_err(one)? };
    if !untracked.is_empty() {
        notes.push(format!("Not compared, because Git does not track it: {}", named(&untracked)));
    }
    Ok((version, notes))
}

fn counted(files: usize) -> String {
    let (number, have) =
        if files == 1 { ("1 tracked file".to_owned(), "has") } else { (format!("{files} tracked files"), "have") };
    format!("{number} {have} uncommitted changes; the versions on disk are compared")
}

/// Lists the first of several files, and the number of further files.
fn named(files: &BTreeSet<String>) -> String {
    let first: Vec<&str> = files.iter().take(NAMED).map(String::as_str).collect();
    let more = files.len() - first.len();
    first.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

fn absent(context: &Context, why: &'static str) -> Failure {
    let file = &context.file;
    let message = match why {
        "does not exist" if context.directory.join(file).exists() => format!("{file} is not tracked by Git"),
        "does not exist" => format!("{file} does not exist"),
        why => format!("{file} {why}"),
    };
    Failure::new(Reason::ManifestMissing, message).hint(format!("Git must track the manifest: git add {file}"))
}

/// Reads the manifest at the reference. Returns `None`, so that everything is shown as new, if the manifest did not
/// exist or was invalid.
async fn earlier<'a>(
    context: &Context,
    reference: &str,
    snapshot: Snapshot<'a>,
    path: &Utf8Path,
) -> Result<Option<Version<'a>>, Failure> {
    let name = path.file_name().unwrap_or_default();
    let why = match Version::read(snapshot, path, &format!("{reference}:{name}")).await {
        Ok(version) => return Ok(Some(version)),
        Err(Unread::Failed(failure)) => return Err(failure),
        Err(Unread::Absent(why)) => why.to_owned(),
        Err(Unread::Invalid(failures)) => {
            let first = failures.first().map_or_else(String::new, Failure::message);
            format!("is not valid ({first})")
        }
    };
    warn(context, format!("{name} {why} at {reference}, so everything is shown as new"));
    Ok(None)
}

fn select(manifest: &Manifest, names: &[String]) -> Result<BTreeSet<String>, Vec<Failure>> {
    let all: BTreeSet<String> = manifest.environments.keys().map(ToString::to_string).collect();
    let failures: Vec<Failure> = names
        .iter()
        .filter(|name| !all.contains(*name))
        .map(|name| crate::reconcile::pass::unknown(manifest, name))
        .collect();
    match failures.is_empty() {
        false => Err(failures),
        true if names.is_empty() => Ok(all),
        true => Ok(names.iter().cloned().collect()),
    }
}
