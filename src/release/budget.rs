//! A limit on the work of reading untrusted files: a few lines of aliases, merges, chains or links can expand to any
//! amount of work.

use std::cell::Cell;

/// The steps for the Compose files of one application. An ordinary application takes thousands.
const STEPS: usize = 2_000_000;
/// The copied bytes that count as one step.
const BYTES: usize = 16;

/// The steps that are left.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self::new(STEPS)
    }
}

impl Budget {
    /// Returns a budget of `steps` steps.
    pub const fn new(steps: usize) -> Self {
        Self(Cell::new(steps))
    }

    /// Takes `steps` steps. Returns false if none are left afterwards, and for every call after that.
    pub fn take(&self, steps: usize) -> bool {
        self.0.set(self.0.get().saturating_sub(steps));
        !self.is_spent()
    }

    /// Takes the steps for a copy of `bytes` bytes.
    pub fn copy(&self, bytes: usize) -> bool {
        self.take(1 + bytes / BYTES)
    }

    /// Returns true if no step is left.
    pub const fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}
