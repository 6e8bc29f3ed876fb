//! Effects on the outside world: hosts over SSH, OpenTofu, the state store, local processes, secrets, HTTP and files.

pub mod directory;
pub mod http;
pub mod opentofu;
pub mod process;
pub mod scratch;
pub mod secret;
pub mod server;
pub mod ssh;
pub mod store;
