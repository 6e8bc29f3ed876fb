//! OpenTofu: makes, changes and destroys the machines of provisioned environments. Never applies anything but the very
//! plan that was shown, and never lets its state reach a disk unencrypted but in the environment's own directory.
//!
//! A run of it is a process of its own that outlives ours: killed in the middle, the next run waits for it and takes
//! its state over.

mod alone;
mod backend;
mod desk;
mod diagnostic;
mod follow;
mod init;
mod key;
mod lay;
mod lock;
mod model;
mod program;
mod rescue;
mod seal;
mod show;
mod state;
mod stream;
mod vault;
mod work;

pub use desk::{Backend, Work};
pub use diagnostic::{Diagnostic, failure};
pub use lay::BACKEND;
pub use lock::Lock;
pub use model::{Action, AttributeChange, Outputs, Planned, Proposed, Purpose, ResourceChange, Say};
pub use program::Tofu;
pub use show::{Shown, read as read_plan};
pub use state::{Left, State, judge, read as read_state};
pub use stream::{Counts, Said, read as read_line};
pub use vault::Vault;
