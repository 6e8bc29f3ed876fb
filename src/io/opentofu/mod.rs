//! OpenTofu: creates, changes and destroys the machines of provisioned environments. Applies only the saved plan that
//! was shown. The state reaches a disk unencrypted only in the environment's own directory.
//!
//! OpenTofu runs as a separate process that outlives ours. If our run is killed, the next run waits for that process
//! and takes over its state.

mod backend;
mod context;
mod diagnostic;
mod directory_lock;
mod encryption;
mod follow;
mod init;
mod key;
mod lock;
mod model;
mod program;
mod rescue;
mod show;
mod state;
mod stream;
mod vault;
mod work;
mod working_directory;

pub use crate::model::infrastructure::{Action, AttributeChange, Planned, ResourceChange};
pub use context::{Backend, Work};
pub use diagnostic::{Diagnostic, failure};
pub use lock::Lock;
pub use model::{Outputs, Proposed, Purpose, Say};
pub use program::Tofu;
pub use rescue::ERRORED;
pub use show::{Shown, read as read_plan};
pub use state::{Left, State, judge, read as read_state};
pub use stream::{Counts, Said, read as read_line};
pub use vault::Vault;
pub use working_directory::BACKEND;
