//! Tests of the resources with recordings: raw probe output → facts, facts → commands, and the laws that they obey.
//! They need no host.
#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

mod cases;
mod claims;
mod drift;
mod engine;
mod given;
mod images;
mod laws;
mod lease;
mod models;
mod shell;
mod status;
