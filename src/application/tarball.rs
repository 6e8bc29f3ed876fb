//! Files of a release as one tar stream. Never says when, where or by whom it was made: the same files
//! give the same bytes.

use super::release::{Content, File, Release};
use super::tree;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;
use std::io;
use tar::{Builder, EntryType, Header};

/// The chosen files, with the directories above them, in order of their paths; everything belongs to
/// root and dates from 1970.
///
/// # Errors
/// A path that the release does not hold, a file that needs a value nobody gave, a file that cannot be
/// read or changed since it was loaded.
pub fn tar(release: &Release, paths: &BTreeSet<Utf8PathBuf>) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    let mut made = BTreeSet::new();
    for path in paths {
        let file = release.files.get(path).ok_or_else(|| refused(format!("{path} is not a file of the release")))?;
        let mut above: Vec<&Utf8Path> = path.ancestors().skip(1).filter(|above| *above != "").collect();
        above.reverse();
        for directory in above {
            if made.insert(directory) {
                append(&mut builder, EntryType::Directory, directory, 0o755, &[])?;
            }
        }
        append(&mut builder, EntryType::Regular, path, file.mode, &bytes(path, file)?)?;
    }
    builder.into_inner()
}

fn bytes(path: &Utf8Path, file: &File) -> io::Result<Vec<u8>> {
    let Some(recorded) = file.sha256 else {
        return Err(refused(format!("{path} needs a value that could not be resolved")));
    };
    let bytes = match &file.content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Path(source) => std::fs::read(source)?,
    };
    if tree::digest(&bytes) != recorded {
        return Err(refused(format!("{path} changed while it was being read")));
    }
    Ok(bytes)
}

fn append(builder: &mut Builder<Vec<u8>>, kind: EntryType, path: &Utf8Path, mode: u32, data: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, path, data)
}

fn refused(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
