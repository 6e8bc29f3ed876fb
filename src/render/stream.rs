//! One output stream, written whole texts at a time. Never fails a run because nobody reads.

use std::io::{ErrorKind, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// A stream that goes quiet when its reader leaves.
pub(super) struct Stream {
    out: Mutex<Box<dyn Write + Send>>,
    closed: AtomicBool,
    lost: AtomicBool,
}

impl Stream {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out: Mutex::new(out), closed: AtomicBool::new(false), lost: AtomicBool::new(false) }
    }

    /// Writes a text at once, so that lines of parallel tasks never mix.
    pub(super) fn write(&self, text: &str) {
        if text.is_empty() || self.closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut out) = self.out.lock() else { return };
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.closed.store(true, Ordering::Relaxed);
            self.lost.fetch_or(error.kind() != ErrorKind::BrokenPipe, Ordering::Relaxed);
        }
    }

    /// Whether something could not be written though somebody may have wanted it (a full disk).
    pub(super) fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}
