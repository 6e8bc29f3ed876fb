//! The rooms as files: raw probe output → facts, facts → commands; and the laws they keep. Never needs a host.
#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

mod cases;
mod claims;
mod drift;
mod given;
mod laws;
mod lease;
mod models;
mod shell;
