//! Tests on real hosts of the test bed: `tests/bed` must be up. Built with `--features live` only, so that
//! none is ever skipped and counted as passed.

mod bed;
mod depends;
mod destroy;
mod drift;
mod edits;
mod lifecycle;
mod looking;
mod main_job;
mod ownership;
mod scene;
