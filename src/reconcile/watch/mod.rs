//! What keeps hosts as the manifest wants them while nobody looks: when to reconcile, which files to follow, what to
//! show. Never reconciles by itself: that is the same pass as `apply`'s.

pub mod board;
pub mod files;
pub mod git;
pub mod http;
pub mod metrics;
pub mod quarantine;
pub mod schedule;
pub mod sources;
