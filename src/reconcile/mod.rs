//! The reconcile engine: observes hosts, proposes a plan, asks for consent, executes the plan, and repeats. Takes plain
//! values in a [`context::Context`], and talks to a [`Front`](crate::model::front::Front): the command line is one.

pub mod annotate;
pub mod check;
pub mod compare;
pub mod connect;
pub mod consent;
pub mod context;
pub mod converge;
pub mod entry;
pub mod execute;
pub mod forget;
pub mod history;
pub mod inventory;
pub mod look;
pub mod machine;
pub mod observe;
pub mod orphan;
pub mod pass;
pub mod prepare;
pub mod propose;
pub mod release_files;
pub mod remote;
pub mod request;
pub mod runtime;
pub mod saved;
pub mod session;
pub mod signals;
pub mod stack;
pub mod status;
pub mod stores;
pub mod suspend;
pub mod unlock;
pub mod watch;
