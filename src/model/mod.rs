//! Data that every part of the program shares: facts of environments, differences, events and failures. Pure.

pub mod bounded;
pub mod checked;
pub(crate) mod defuse;
pub mod diff;
pub(crate) mod digest;
pub mod disk;
pub mod ending;
pub mod event;
pub mod failure;
pub mod front;
pub mod holder;
#[cfg(test)]
pub(crate) mod hostile;
pub mod infrastructure;
pub mod input;
pub mod reach;
pub mod secret;
pub mod shell;
pub mod state;
pub mod token;
pub mod verdict;
