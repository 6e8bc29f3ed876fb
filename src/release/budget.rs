//! The work that reading foreign files may take. Their authors are not trusted: a few lines of aliases, merges, chains or
//! links can stand for any amount of work.

use std::cell::Cell;

/// The steps for the Compose files of one application; an honest one takes thousands.
const STEPS: usize = 2_000_000;
/// So many bytes that are copied are one step.
const BYTES: usize = 16;

/// The steps that may still be taken.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self::new(STEPS)
    }
}

impl Budget {
    /// Returns a budget of so many steps.
    pub const fn new(steps: usize) -> Self {
        Self(Cell::new(steps))
    }

    /// Takes so many steps; false where not as many are left, and from then on.
    pub fn take(&self, steps: usize) -> bool {
        self.0.set(self.0.get().saturating_sub(steps));
        !self.is_spent()
    }

    /// Takes the steps of a copy of so many bytes.
    pub fn copy(&self, bytes: usize) -> bool {
        self.take(1 + bytes / BYTES)
    }

    /// Says whether nothing is left.
    pub const fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}
