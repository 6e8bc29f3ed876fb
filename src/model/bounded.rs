//! Bounded reads: data from other programs and from files is read up to a limit. Pure except for [`file()`] and
//! [`beginning()`].

use std::io::{self, Read};
use std::path::Path;

/// Limit of the standard output of one script on a host, including what precedes it.
pub const REMOTE_OUTPUT: usize = 16 << 20;
/// Limit of the output of a login shell before a script begins.
pub const REMOTE_NOISE: usize = 1 << 20;
/// Limit of the standard output of one local program.
pub const LOCAL_OUTPUT: usize = 64 << 20;
/// Number of bytes kept of the standard error of a script or a program: half from each end.
pub const ERRORS: usize = 1 << 20;
/// Limit of a whole standard error stream: only a program that does not end by itself writes more.
pub const ERRORS_SEEN: u64 = 64 << 20;
/// Number of bytes kept of one line of a stream that is followed.
pub const LINE: usize = 1 << 20;
/// Limit of a whole line of a stream that is followed.
pub const LINE_SEEN: u64 = 64 << 20;
/// Limit of the body of one HTTP response.
pub const HTTP_BODY: usize = 4 << 20;
/// Limit of an OpenTofu state, and of what OpenTofu prints at once.
pub const STATE: usize = 256 << 20;
/// Limit of a small file that a program writes for us, such as the list of host keys that ssh was offered.
pub const SMALL_FILE: usize = 1 << 20;

/// The two ends of a stream. The bytes between them are left out.
#[derive(Debug, Default)]
pub struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    seen: u64,
}

impl Ends {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        let room = (ERRORS / 2).saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend_from_slice(&bytes[room..]);
        // The tail is cut only when it exceeds its limit, so that a byte is moved once on average.
        if self.tail.len() > ERRORS {
            self.tail.drain(..self.tail.len() - ERRORS / 2);
        }
    }

    /// Returns true if the stream is longer than that of any program that ends by itself.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.seen > ERRORS_SEEN
    }

    /// Returns the first bytes. Later bytes do not replace them.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Returns both ends, with a line between them that gives the number of bytes left out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        let Self { mut head, tail, seen } = self;
        let tail = &tail[tail.len().saturating_sub(ERRORS / 2)..];
        let left_out = seen.saturating_sub((head.len() + tail.len()) as u64);
        if left_out > 0 {
            head.extend_from_slice(remark(left_out).as_bytes());
        }
        head.extend_from_slice(tail);
        head
    }
}

/// Reads a stream of at most `limit` bytes to its end. A longer stream is an error of the kind `FileTooLarge`.
pub fn whole(stream: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Reads a file of at most `limit` bytes, as [`whole()`] does.
pub fn file(path: impl AsRef<Path>, limit: usize) -> io::Result<Vec<u8>> {
    whole(std::fs::File::open(path)?, limit as u64)
}

/// Reads up to [`SMALL_FILE`] bytes from the start of a file as text. Returns what could be read if an error occurs.
#[must_use]
pub fn beginning(path: impl AsRef<Path>) -> String {
    let mut bytes = Vec::new();
    let _ = std::fs::File::open(path).and_then(|file| file.take(SMALL_FILE as u64).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Suffix of every remark that says that a part of a text was left out.
const LEFT_OUT: &str = " left out]";

/// Length of the longest remark, in bytes.
const LONGEST_REMARK: usize = 64;

/// Removes the middle of a text that is longer than `limit` bytes.
#[must_use]
pub fn shortened(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let (head, tail) = (prefix(&text, limit / 2), suffix(&text, limit / 2));
    format!("{head}{}{tail}", remark(text.len() - head.len() - tail.len()))
}

fn remark(bytes: impl std::fmt::Display) -> String {
    format!("\n[{bytes} bytes are{LEFT_OUT}\n")
}

/// Finds the remarks in a text that say that a part was left out. Each range includes the line breaks around the
/// remark, because the cut may split a word.
pub fn cuts(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.match_indices(LEFT_OUT).filter_map(|(at, found)| {
        let near = text.floor_char_boundary(at.saturating_sub(LONGEST_REMARK));
        let (before, after) = (&text[..near + text[near..at].rfind('[')?], &text[at + found.len()..]);
        let start = before.strip_suffix("\n").or_else(|| before.strip_suffix("… ")).unwrap_or(before).len();
        Some((start, text.len() - after.strip_prefix('\n').unwrap_or(after).len()))
    })
}

/// Returns the start of a text: at most `limit` bytes, cut at a character boundary.
#[must_use]
pub fn prefix(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Returns the end of a text: at most `limit` bytes, cut at a character boundary.
#[must_use]
pub fn suffix(text: &str, limit: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(limit))..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_ends_of_a_stream_stay() {
        let mut ends = Ends::default();
        ends.push(b"first\n");
        for _ in 0..5000 {
            ends.push(&[b'x'; 1000]);
        }
        ends.push(b"\nlast");
        assert!(!ends.is_over());
        let bytes = ends.into_bytes();
        assert!(bytes.len() < ERRORS + 100);
        assert!(bytes.starts_with(b"first\n") && bytes.ends_with(b"\nlast"));
        assert!(String::from_utf8(bytes).unwrap().contains("bytes are left out]"));
    }

    proptest! {
        #[test]
        fn short_output_stays_whole(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..30)) {
            let mut ends = Ends::default();
            for piece in &pieces {
                ends.push(piece);
            }
            prop_assert_eq!(ends.into_bytes(), pieces.concat());
        }

        #[test]
        fn a_cut_text_is_text(text in "\\PC{0,40}", limit in 0usize..50) {
            prop_assert!(text.starts_with(prefix(&text, limit)) && prefix(&text, limit).len() <= limit);
            prop_assert!(text.ends_with(suffix(&text, limit)) && suffix(&text, limit).len() <= limit);
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        assert!(file("/dev/zero", 1000).is_err_and(|error| error.kind() == io::ErrorKind::FileTooLarge));
        assert_eq!(beginning("/dev/zero").len(), SMALL_FILE);
        assert_eq!(file("/dev/null", 0).unwrap(), b"");
    }
}
