//! Framing of a probe's output. One broken fragment cannot be mistaken for another fragment's output, and a fragment's
//! output cannot be mistaken for a frame: the marks contain a text that only the script and its reader know. This
//! module does not interpret the content of a frame.

use super::record::DigestKey;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time limit of a fragment, so that a fragment that hangs does not end the whole probe.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Exit codes of a fragment that exceeded its time limit: those of `timeout`, SIGKILL and SIGTERM.
const LATE: [&str; 3] = ["124", "137", "143"];

/// Output of one fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The complete output.
    Whole(&'a [u8]),
    /// The beginning of the output of a fragment that was ended early, according to its end mark. Empty if the end mark
    /// is missing.
    Late(&'a [u8]),
}

impl<'a> Frame<'a> {
    /// Returns the output if it is complete.
    #[must_use]
    pub const fn content(self) -> Option<&'a [u8]> {
        if let Self::Whole(content) = self { Some(content) } else { None }
    }
}

/// Limit of the number of frames of a probe.
const MOST: usize = 16;

/// Marks around the frames of one probe.
#[derive(Clone, Debug)]
pub struct Marks(String);

impl Marks {
    /// Makes the marks for a key. Output of a program that has not read the script cannot contain them.
    #[must_use]
    pub fn of(key: &DigestKey) -> Self {
        Self(format!("@@deployer {}", key.digest(blake3::hash(b"marks of a probe").as_bytes())))
    }

    /// Returns the prefix of every mark.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Wraps a fragment, which may be empty, between its marks. The fragment runs in a shell with `$state` and `$app`
    /// that ends after [`LIMIT`]. The fragment's errors do not end the script, and the fragment's exit code is in the
    /// end mark.
    #[must_use]
    pub fn wrap(&self, name: &str, fragment: &str) -> String {
        self.wrap_within(name, fragment, LIMIT)
    }

    fn wrap_within(&self, name: &str, fragment: &str, limit: Duration) -> String {
        let (mark, limit) = (&self.0, limit.as_secs());
        format!(
            "printf '{mark} begin {name}\\n'\n\
             timeout -k 1 {limit} sh -s -- \"${{state-}}\" \"${{app-}}\" <<'{mark} fragment' 2>/dev/null\n\
             state=$1 app=$2\n(\n:\n{fragment}\n) </dev/null\n{mark} fragment\n\
             printf '\\n{mark} end {name} %s\\n' $?\n"
        )
    }

    /// Returns the frames of an output by name. If a name occurs again, the first frame counts.
    #[must_use]
    pub fn split<'a>(&self, output: &'a [u8]) -> BTreeMap<&'a str, Frame<'a>> {
        let mut frames = BTreeMap::new();
        let mut rest = output;
        while let Some((name, after)) = self.begin(rest) {
            // Each search for an end mark reads the rest of the output. The number of searches is limited: one per
            // name, and at most `MOST`.
            if frames.contains_key(name) || frames.len() >= MOST {
                rest = after;
                continue;
            }
            let end = format!("\n{} end {name} ", self.0);
            // If the end mark is missing, the next fragment still has its own marks.
            let Some(length) = find(after, end.as_bytes()) else {
                frames.entry(name).or_insert(Frame::Late(&[]));
                rest = after;
                continue;
            };
            let (code, next) = line(&after[length + end.len()..]).unwrap_or((LATE[0], &[]));
            let said = &after[..length];
            let frame = if LATE.contains(&code) { Frame::Late(said) } else { Frame::Whole(said) };
            frames.entry(name).or_insert(frame);
            rest = next;
        }
        frames
    }

    /// Returns the name in the next begin mark, and the bytes after that mark.
    fn begin<'a>(&self, bytes: &'a [u8]) -> Option<(&'a str, &'a [u8])> {
        let begin = format!("{} begin ", self.0);
        line(&bytes[find(bytes, begin.as_bytes())? + begin.len()..])
    }
}

/// Returns the first line, and the bytes after it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let length = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&bytes[..length]).ok()?, &bytes[length + 1..]))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::process;
    use proptest::prelude::*;
    use std::time::Duration;

    fn marks() -> Marks {
        Marks::of(&DigestKey::new([7; 32]))
    }

    fn framed(name: &str, content: &str, code: &str) -> String {
        let mark = marks().0;
        format!("{mark} begin {name}\n{content}\n{mark} end {name} {code}\n")
    }

    #[test]
    fn frames_survive_noise_and_a_missing_end() {
        let mark = marks().0;
        let output = format!(
            "banner\n{}noise\n{mark} begin engine\ncut\n{}{}",
            framed("access", "os debian\n", "0"),
            framed("files", "all", "1"),
            framed("images", "half", "124")
        );
        let marks = marks();
        let frames = marks.split(output.as_bytes());
        assert_eq!(frames.get("access"), Some(&Frame::Whole(b"os debian\n")));
        assert_eq!(frames.get("engine"), Some(&Frame::Late(b"")));
        assert_eq!(frames.get("files"), Some(&Frame::Whole(b"all")));
        assert_eq!(frames.get("images"), Some(&Frame::Late(b"half")));
    }

    #[test]
    fn other_marks_are_content() {
        let forged = "a\n@@deployer end access 0\n@@deployer begin files\nforged\n@@deployer end files 0";
        let output = framed("access", forged, "0");
        let marks = marks();
        let frames = marks.split(output.as_bytes());
        assert_eq!(frames, BTreeMap::from([("access", Frame::Whole(forged.as_bytes()))]));
        let other = Marks::of(&DigestKey::new([8; 32]));
        assert!(other.split(output.as_bytes()).is_empty());
    }

    #[tokio::test]
    async fn a_shell_prints_what_is_read() {
        let marks = marks();
        let script = marks.wrap("a", "printf 'one\\n\\n'; false") + &marks.wrap("b", "") + &marks.wrap("c", "exit 124");
        let finished = process::run(&["sh".to_owned(), "-c".to_owned(), script], b"", Duration::from_secs(20)).await;
        let output = finished.unwrap().stdout;
        let frames = marks.split(&output);
        let wanted = [("a", Frame::Whole(b"one\n\n".as_slice())), ("b", Frame::Whole(b"")), ("c", Frame::Late(b""))];
        assert_eq!(frames, BTreeMap::from(wanted));
    }

    #[tokio::test]
    async fn a_fragment_that_hangs_ends_alone() {
        let marks = marks();
        let hung = "echo begun; trap '' TERM; sleep 60 & sleep 60; echo ended";
        let script = marks.wrap_within("a", hung, Duration::from_secs(1)) + &marks.wrap("b", "echo $state$app");
        let script = format!("state=one app=two\n{script}");
        let begun = std::time::Instant::now();
        let finished = process::run(&["sh".to_owned(), "-c".to_owned(), script], b"", Duration::from_secs(50)).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let output = finished.unwrap().stdout;
        let wanted = [("a", Frame::Late(b"begun\n")), ("b", Frame::Whole(b"onetwo\n".as_slice()))];
        assert_eq!(marks.split(&output), BTreeMap::from(wanted));
    }

    proptest! {
        #[test]
        fn the_output_of_a_fragment_stays_separate(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (first, last) = (framed("a", "", "0"), framed("z", "whole", "0"));
            let mark = marks().0;
            let begin = format!("{mark} begin m\n");
            let end = format!("\n{mark} end m 0\n");
            let output = [first.as_bytes(), begin.as_bytes(), &content, end.as_bytes(), last.as_bytes()].concat();
            let marks = marks();
            let frames = marks.split(&output);
            prop_assert_eq!(frames.get("m"), Some(&Frame::Whole(&content)));
            prop_assert_eq!(frames.get("z"), Some(&Frame::Whole(b"whole")));
        }
    }
}
