//! The application's directory, read file by file. Never holds more than one block of a file in memory,
//! and never leaves a file out but those that are not the application's: `.git`, our own store, image archives.

use super::release::{Content, File};
use super::{Files, invalid};
use crate::failure::Failure;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

/// Every file below `directory` but those in `except`, links followed, by its path relative to it.
///
/// # Errors
/// Everything that cannot be sent: broken links, loops, special files, names that are not UTF-8.
pub fn walk(directory: &Utf8Path, except: &BTreeSet<&Utf8Path>) -> Result<Files, Vec<Failure>> {
    if !directory.is_dir() {
        let hint = "application.compose.directory is relative to the manifest";
        return Err(vec![invalid(format!("{directory} is not a directory")).hint(hint)]);
    }
    let mut files = BTreeMap::new();
    let mut failures = Vec::new();
    let entries = walkdir::WalkDir::new(directory).follow_links(true).sort_by_file_name().min_depth(1);
    let kept = |entry: &walkdir::DirEntry| {
        let ours = entry.file_name() == ".git" || entry.file_name() == ".deployer";
        !ours && Utf8Path::from_path(entry.path()).is_none_or(|path| !except.contains(path))
    };
    for entry in entries.into_iter().filter_entry(kept) {
        match entry.map_err(|error| unreadable(directory, &error)).and_then(|entry| take(directory, &entry)) {
            Ok(Some((path, file))) => _ = files.insert(path, file),
            Ok(None) => {}
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(files) } else { Err(failures) }
}

/// The SHA-256 of bytes in memory.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The SHA-256 of a stream, read block by block.
pub fn digest_of(mut stream: impl Read) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; 128 * 1024];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(read) => hasher.update(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn take(directory: &Utf8Path, entry: &walkdir::DirEntry) -> Result<Option<(Utf8PathBuf, File)>, Failure> {
    let Some(full) = Utf8Path::from_path(entry.path()) else {
        let message = format!("The name of {} is not UTF-8", entry.path().display());
        return Err(invalid(message).hint("Rename it"));
    };
    if full.as_str().contains('\n') && full.strip_prefix(directory).is_ok_and(|below| below.as_str().contains('\n')) {
        let message = format!("The name {:?} holds a line break", full.as_str());
        return Err(invalid(message).hint("Rename it: such names cannot be sent safely"));
    }
    if entry.file_type().is_dir() {
        return Ok(None);
    }
    if !entry.file_type().is_file() {
        let message = format!("{full} is neither a file nor a directory");
        return Err(invalid(message).hint("Move sockets, pipes and devices out of the application's directory"));
    }
    let failed = |error: io::Error| invalid(format!("{full} cannot be read")).details(error.to_string());
    let file = std::fs::File::open(full).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let (bytes, executable) = (about.len(), about.permissions().mode() & 0o111 != 0);
    let sha256 = digest_of(file).map_err(failed)?;
    let path = full.strip_prefix(directory).unwrap_or(full).to_owned();
    let mode = if executable { 0o755 } else { 0o644 };
    let content = Content::Path(full.to_owned());
    Ok(Some((path, File { content, sha256: Some(sha256), bytes, mode, secret: false, seed: false })))
}

fn unreadable(directory: &Utf8Path, error: &walkdir::Error) -> Failure {
    let path = error.path().unwrap_or(directory.as_std_path());
    let name = path.display();
    let link = path.symlink_metadata().is_ok_and(|data| data.is_symlink());
    let message = match (error.loop_ancestor(), link) {
        (Some(ancestor), _) => format!("{name} is a link to {}, which holds it", ancestor.display()),
        (None, true) => format!("{name} is a link that leads nowhere"),
        (None, false) => format!("{name} cannot be read"),
    };
    let details = error.io_error().map(ToString::to_string).unwrap_or_default();
    let failure = invalid(message).details(details);
    if link { failure.hint("Mend or remove the link") } else { failure }
}
