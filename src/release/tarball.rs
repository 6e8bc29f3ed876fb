//! Files of a release as one tar stream. The stream contains no date, machine or user: the same files give the same
//! bytes.

use super::sent::{File, Release};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// The last entry, an empty file that no release holds. A stream that contains it is complete.
pub const WHOLE: &str = ".deployer";

/// Files that can be written as one tar stream several times.
#[derive(Clone, Debug)]
pub struct Tarball {
    files: BTreeMap<Utf8PathBuf, File>,
}

impl Tarball {
    /// Returns the tarball of all files of a release.
    #[must_use]
    pub fn of(release: &Release) -> Self {
        Self { files: release.files.clone() }
    }

    /// Writes the files and the directories above them in the order of their paths, then [`WHOLE`]. Every entry belongs
    /// to root and has a modification time in 1970.
    ///
    /// # Errors
    /// A file needs a value that is not known, cannot be read, or changed after it was loaded. The output until then
    /// does not contain [`WHOLE`].
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut builder = Builder::new(out);
        let mut made = BTreeSet::new();
        for (path, file) in &self.files {
            let mut above: Vec<&Utf8Path> = path.ancestors().skip(1).filter(|above| *above != "").collect();
            above.reverse();
            for directory in above {
                if made.insert(directory) {
                    append(&mut builder, EntryType::Directory, directory, (0o755, 0), io::empty())?;
                }
            }
            append(&mut builder, EntryType::Regular, path, (file.mode, file.bytes), file.checked(path)?)?;
        }
        append(&mut builder, EntryType::Regular, Utf8Path::new(WHOLE), (0o600, 0), io::empty())?;
        builder.into_inner().map(drop)
    }
}

fn append(
    builder: &mut Builder<&mut dyn Write>,
    kind: EntryType,
    path: &Utf8Path,
    (mode, size): (u32, u64),
    data: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, path, data)
}
