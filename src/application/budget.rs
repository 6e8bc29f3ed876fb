//! The work that reading an application's Compose files may take. Their authors are not trusted: aliases, merges and
//! chains make little text stand for much work.

use std::cell::Cell;

/// The steps of one application; an honest one takes thousands.
const STEPS: usize = 2_000_000;
/// So many bytes that are copied are one step.
const BYTES: usize = 16;

/// What is left of the work.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(STEPS))
    }
}

impl Budget {
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
