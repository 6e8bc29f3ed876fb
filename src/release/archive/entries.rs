//! Entries of a tar archive, packed or not, read within limits.

use camino::Utf8Path;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

/// The largest entry that is read as JSON (bytes). The configuration of an image with thousands of layers is smaller.
const LARGEST: u64 = 8 << 20;

/// The largest sum of all entries that are read as JSON (bytes).
const TOTAL: u64 = 128 << 20;

/// The most entries, and the most bytes of their names together. Archives of many images have thousands of entries.
const ENTRIES: usize = 200_000;
const NAMES: usize = 16 << 20;

/// The largest headers of one entry, including its long names, which are held in memory (bytes).
const HEADERS: u64 = 64 << 10;

/// The largest unpacked size of an archive (bytes).
const UNPACKED: u64 = 256 << 30;

/// The entries that name an archive's images.
const LISTS: [&str; 2] = ["manifest.json", "index.json"];

/// The entries by name: the text of an entry if it is JSON, empty for any other entry.
pub type Entries = BTreeMap<String, Vec<u8>>;

/// The reason why the entries cannot be read.
pub enum Trouble {
    /// The file is no tar archive.
    NotTar(io::Error),
    /// The archive is cut off or damaged.
    CutOff(io::Error),
    /// The archive holds what no image archive holds, or too much.
    Beyond(String),
}

impl Trouble {
    fn new(error: io::Error, none: bool) -> Self {
        match error.kind() {
            io::ErrorKind::FileTooLarge => {
                Self::Beyond(format!("the headers of an entry are larger than {} KiB", HEADERS >> 10))
            }
            _ if none => Self::NotTar(error),
            _ => Self::CutOff(error),
        }
    }
}

/// A reader with a limit that moves on with each entry: headers beyond the limit are refused before they are held in
/// memory.
struct UpTo<'a, R> {
    inner: R,
    at: u64,
    end: &'a Cell<u64>,
}

impl<'a, R> UpTo<'a, R> {
    const fn new(inner: R, end: &'a Cell<u64>) -> Self {
        Self { inner, at: 0, end }
    }
}

impl<R: Read> Read for UpTo<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.end.get().saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.inner.read(&mut buffer[..room])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for UpTo<'_, R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}

pub fn plain(file: File, bytes: u64) -> Result<Entries, Trouble> {
    let limit = Cell::new(0);
    let mut archive = tar::Archive::new(UpTo::new(file, &limit));
    let mut end = 0;
    let entries = archive.entries_with_seek().map_err(Trouble::NotTar)?;
    let found = collect(entries, &mut end, &limit)?;
    // Seeking over a layer does not notice a missing end of that layer.
    if end > bytes { Err(Trouble::CutOff(io::ErrorKind::UnexpectedEof.into())) } else { Ok(found) }
}

pub fn unpacked(file: File) -> Result<Entries, Trouble> {
    let limit = Cell::new(0);
    let stream = flate2::read::MultiGzDecoder::new(BufReader::new(file));
    let mut archive = tar::Archive::new(UpTo::new(stream, &limit));
    let found = collect(archive.entries().map_err(Trouble::NotTar)?, &mut 0, &limit)?;
    // The checksum is at the end of the stream.
    limit.set(UNPACKED);
    let rest = io::copy(&mut archive.into_inner(), &mut io::sink());
    rest.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => too_large(),
        _ => Trouble::CutOff(error),
    })?;
    Ok(found)
}

fn too_large() -> Trouble {
    Trouble::Beyond(format!("it contains more than {} GiB", UNPACKED >> 30))
}

/// Returns every entry, with its text if it may be JSON, and sets `end` to the end of the last entry. `limit` is the
/// position up to which reading is allowed.
fn collect<R: Read>(mut entries: tar::Entries<'_, R>, end: &mut u64, limit: &Cell<u64>) -> Result<Entries, Trouble> {
    let mut found = Entries::new();
    let (mut total, mut names) = (0, 0);
    loop {
        let none = *end == 0;
        let trouble = |error| Trouble::new(error, none);
        // Allows the padding up to the next entry, and the headers of that entry.
        limit.set(end.next_multiple_of(512) + HEADERS);
        let Some(entry) = entries.next() else { return Ok(found) };
        let mut entry = entry.map_err(trouble)?;
        let size = entry.size();
        if entry.header().entry_type().is_gnu_sparse() || has_other_name(&mut entry).map_err(trouble)? {
            return Err(Trouble::Beyond("it contains a sparse file".to_owned()));
        }
        *end = entry.raw_file_position().saturating_add(size);
        if *end > UNPACKED {
            return Err(too_large());
        }
        limit.set(*end);
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        names += name.len();
        if found.len() >= ENTRIES || names > NAMES {
            return Err(Trouble::Beyond("it contains too many entries".to_owned()));
        }
        let mut text = Vec::new();
        if (1..=LARGEST.min(TOTAL - total)).contains(&size) && entry.header().entry_type().is_file() {
            let mut first = [0];
            entry.read_exact(&mut first).map_err(Trouble::CutOff)?;
            if matches!(first[0], b'{' | b'[') {
                text.push(first[0]);
                entry.read_to_end(&mut text).map_err(Trouble::CutOff)?;
                total += size;
            }
        }
        // Programs differ in which of several lists they read, and in the meaning of a path with links or dots.
        let lists = Utf8Path::new(&name).file_name().is_some_and(|name| LISTS.contains(&name));
        if lists && (!LISTS.contains(&name.as_str()) || found.contains_key(&name)) {
            return Err(Trouble::Beyond(format!("it contains {name}, which is not its only list of images")));
        }
        found.insert(name, text);
    }
}

/// Returns true if programs that know sparse files in pax headers give the entry another name.
fn has_other_name<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    for extension in extensions {
        if extension?.key_bytes().starts_with(b"GNU.sparse") {
            return Ok(true);
        }
    }
    Ok(false)
}
