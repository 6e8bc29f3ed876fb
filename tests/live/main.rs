//! Tests on real hosts of the test bed: `tests/bed` must be up. Built with `--features live` only, so that
//! none is ever skipped and counted as passed.

#![expect(clippy::disallowed_methods, reason = "tests start programs and read the environment themselves")]

mod bed;
mod canary;
mod compose_spec;
mod engine;
mod hostile;
mod main_job;
mod session;
