//! One output stream, to which each text is written as a whole. The only place that writes, so it makes every text safe
//! for its readers. A run does not fail if nobody reads the stream.

use super::github::Command;
use crate::model::defuse;
use crate::model::event::write;
use serde::Serialize;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most bytes of a long text that are written at once.
const BLOCK: usize = 64 * 1024;

/// The abilities of a stream's readers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readers {
    /// True if the readers show styles.
    pub(super) styled: bool,
    /// True if the readers are programs that take documents unchanged: neither a terminal nor a workflow's log.
    pub(super) programs: bool,
}

/// A stream that stops writing after its reader is gone.
pub(super) struct Stream {
    out: Mutex<Box<dyn Write + Send>>,
    readers: Readers,
    closed: AtomicBool,
    lost: AtomicBool,
}

impl Stream {
    pub(super) fn new(out: Box<dyn Write + Send>, readers: Readers) -> Self {
        Self { out: Mutex::new(out), readers, closed: AtomicBool::new(false), lost: AtomicBool::new(false) }
    }

    /// Writes a text at once, so that lines of parallel tasks do not mix. The text is made safe for every reader: only
    /// deployer's own styles remain active.
    pub(super) fn say(&self, text: &str) {
        self.write(&defuse::whole(text, self.readers.styled));
    }

    /// Writes a document whose format escapes its values (JSON, XML, YAML, a script). Programs get the document
    /// unchanged.
    pub(super) fn document(&self, text: &str) {
        if self.readers.programs { self.write(text) } else { self.say(text) }
    }

    /// Writes deployer's own workflow commands.
    pub(super) fn commands(&self, commands: &[Command]) {
        self.write(&commands.iter().map(Command::line).collect::<String>());
    }

    /// Writes a value as one line of JSON without holding the whole line in memory.
    pub(super) fn json(&self, value: &impl Serialize) {
        self.write_as(|out| {
            write(value, &mut *out)?;
            out.write_all(b"\n")
        });
    }

    fn write(&self, text: &str) {
        if !text.is_empty() {
            self.write_as(|out| out.write_all(text.as_bytes()));
        }
    }

    fn write_as(&self, text: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut out) = self.out.lock() else { return };
        let mut out = BufWriter::with_capacity(BLOCK, &mut *out);
        if let Err(error) = text(&mut out).and_then(|()| out.flush()) {
            // The rest of the buffer would be written again on drop.
            let _ = out.into_parts();
            self.closed.store(true, Ordering::Relaxed);
            self.lost.fetch_or(error.kind() != ErrorKind::BrokenPipe, Ordering::Relaxed);
        }
    }

    /// Returns true if a write failed for a reason other than a closed pipe (for example, a full disk).
    pub(super) fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A writer that accepts a number of writes, and counts all of them.
    struct Reader(Arc<Mutex<Vec<usize>>>, usize);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut seen = self.0.lock().unwrap();
            seen.push(bytes.len());
            if seen.len() > self.1 { Err(ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_long_text_is_never_whole_and_a_short_one_always() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stream = Stream::new(Box::new(Reader(Arc::clone(&seen), 5)), Readers::default());
        stream.say("short");
        stream.write_as(|out| (0..BLOCK).try_for_each(|_| out.write_all(b"two")));
        let lengths = seen.lock().unwrap().clone();
        assert!(lengths.iter().all(|length| *length <= BLOCK) && !stream.lost(), "{lengths:?}");
        assert_eq!((lengths[0], lengths.iter().sum::<usize>()), (5, 5 + 3 * BLOCK));
        stream.say("refused");
        assert!(stream.lost());
        let tried = seen.lock().unwrap().len();
        stream.say("too late");
        assert_eq!(seen.lock().unwrap().len(), tried);
    }
}
