//! Data that every part of the program shares: facts of environments, differences, events and failures. Pure.

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
