//! Marks the files of an application that are secret because Compose files use them as secrets, and refuses releases
//! that omit required files. Changes no content of a file.

use super::left_out;
use super::references::Reference;
use super::sent::{Content, File};
use super::tree::Tree;
use super::{ENV, Files, invalid};
use crate::model::failure::Failure;
use camino::Utf8Path;
use std::collections::BTreeSet;

/// Marks the files that Compose reads secrets or variables from.
pub fn mark(references: &[Reference], files: &mut Files) {
    let secret: Vec<&Reference> = references.iter().filter(|reference| reference.is_secret()).collect();
    for (path, file) in files.iter_mut() {
        file.secret |= path == ENV || secret.iter().any(|reference| reference.covers(path));
    }
    // The target of a link is sent under each of its names.
    let real = |file: &File| match &file.content {
        Content::Path(place) => Some(place.root.join(&place.path)),
        Content::Bytes(_) => None,
    };
    let secret: BTreeSet<_> = files.values().filter(|file| file.secret).filter_map(real).collect();
    for file in files.values_mut() {
        file.secret |= real(file).is_some_and(|path| secret.contains(&path));
    }
}

/// Refuses private keys that nobody asked to send, and Compose files that name a file that is left out.
pub fn refused(
    directory: &Utf8Path,
    tree: &Tree,
    links: &[String],
    references: &[Reference],
    files: &Files,
) -> Vec<Failure> {
    let named = |key: &Utf8Path| {
        references.iter().any(|one| one.path().is_some_and(|path| key.starts_with(path)))
            || files.get(key).is_none_or(|file| file.seed)
            || links.iter().any(|link| key == link.trim_start_matches("./"))
    };
    let keys = tree.keys.iter().filter(|key| !named(key)).map(|key| {
        let full = directory.join(key);
        let hint = format!("Add {key} to {file} to leave it out, or !{key} to send it", file = left_out::FILE);
        invalid(format!("{full} is a private key, and no Compose file names it")).hint(hint)
    });
    let missing = references.iter().filter(|one| !one.optional).filter_map(|one| {
        let path = one.path().filter(|path| !files.contains_key(*path) && directory.join(path).is_file())?;
        let why = tree.why_left_out(path)?;
        let message = format!("A Compose file names {path}, which is not sent: {}", why.phrase());
        Some(invalid(message).hint(why.advice(path)))
    });
    let mut failures: Vec<Failure> = keys.collect();
    for failure in missing {
        if failures.iter().all(|other| other.message() != failure.message()) {
            failures.push(failure);
        }
    }
    failures
}
