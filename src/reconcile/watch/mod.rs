//! Support for `watch`, which keeps hosts converged unattended: when to reconcile, which files to follow, what to
//! serve. Does not reconcile: `watch` runs the same pass as `apply`.

pub mod board;
pub mod files;
pub mod git;
pub mod http;
pub mod metrics;
pub mod quarantine;
pub mod schedule;
pub mod sources;
