//! Data that every part shares: what is true of an environment, what differs, what happened, what failed. Pure.

pub mod bounded;
pub mod checked;
pub mod diff;
pub(crate) mod digest;
pub mod disk;
pub mod event;
pub mod failure;
pub mod holder;
pub mod input;
pub mod secret;
pub mod shell;
pub mod state;
pub mod token;
pub mod verdict;
